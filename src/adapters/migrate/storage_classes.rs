//! Converts StorageClasses of the old drivers into classes of the storage document.

use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Map, Value as Json, json};

use super::OldConfig;
use super::values::{export_rules, options};
use crate::compiler::blueprint::{PURE_BLOCK, PURE_FILE};
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::spec::Format;
use crate::contract::{annotation, parameter};

/// Provisioners of the old drivers: CSI, in-tree and Flex.
pub(super) const PROVISIONERS: [&str; 4] =
    ["pure-csi", "pxd.portworx.com", "kubernetes.io/portworx-volume", "pure-provisioner"];

/// Adds the classes of a dump to those from the old file. Returns warnings about parts without a counterpart.
pub(super) fn add(classes: &[StorageClass], old: &mut OldConfig) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let general = [PURE_FILE, PURE_BLOCK].map(|name| match old.classes.get(name) {
        // The driver's own settings apply to each of its classes.
        Some(Json::Object(fields)) => {
            let mut fields = fields.clone();
            fields.retain(|field, _| !["default", "waitForPod"].contains(&field.as_str()));
            fields
        }
        _ => Map::new(),
    });
    let mut default = None;
    for class in classes.iter().filter(|c| PROVISIONERS.contains(&c.provisioner.as_str())) {
        let name = class.metadata.name.clone().unwrap_or_default();
        let mut reader = Reader { class, name: &name, warnings: &mut warnings };
        let Some(like) = reader.like() else { continue };
        let mut fields = general[usize::from(like == PURE_BLOCK)].clone();
        if name != like {
            fields.insert("like".to_owned(), json!(like));
        }
        reader.fields(like, &mut fields);
        let annotations = class.metadata.annotations.as_ref();
        if annotations
            .and_then(|all| all.get(annotation::DEFAULT_CLASS))
            .is_some_and(|said| said == "true")
        {
            default = Some(name.clone());
        }
        if fields.is_empty() {
            old.classes.remove(&name);
        } else {
            old.classes.insert(name, Json::Object(fields));
        }
    }
    if let Some(default) = default {
        for (_, fields) in &mut old.classes {
            if let Some(fields) = fields.as_object_mut() {
                fields.remove("default");
            }
        }
        let fields = old.classes.entry(default).or_insert_with(|| json!({}));
        fields["default"] = json!(true);
        old.classes.retain(|_, fields| *fields != json!({}));
    }
    warnings
}

struct Reader<'c> {
    class: &'c StorageClass,
    name: &'c str,
    warnings: &'c mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn warn(&mut self, field: &str, did: impl Into<String>, instead: &str) {
        let path = match field {
            "" => format!("StorageClass {}", self.name),
            field => format!("StorageClass {}: {field}", self.name),
        };
        self.warnings.push(Diagnostic::new(Code::NoCounterpart, None, did).at(path).fix(instead));
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.class.parameters.as_ref()?.get(name).map(String::as_str)
    }

    /// Returns which of the two built-in classes it resembles.
    fn like(&mut self) -> Option<&'static str> {
        let mounts = self.class.mount_options.iter().flatten();
        let mut mounts = mounts.map(|option| option.split('=').next().unwrap_or_default());
        let like = match self.parameter("backend") {
            Some("file" | "pure_file") => PURE_FILE,
            Some("block" | "pure_block") => PURE_BLOCK,
            Some("pure_fa_file") => {
                self.warn("backend", "was for file systems on FlashArrays; pso-gen supports file systems only on FlashBlades", "keep the old driver for its volumes, or copy their files to claims of `pure-file`");
                return None;
            }
            Some(other) => {
                self.warn(
                    "backend",
                    format!("{other:?} is not a kind of array; the class is left out"),
                    "write a class by hand: `pso-gen explain Storage.classes`",
                );
                return None;
            }
            None if self.class.provisioner != "pure-csi"
                && self.class.provisioner != "pure-provisioner" =>
            {
                self.warn("", "is for Portworx's own pools, whose volumes are not on an array; it is left out", "keep Portworx for its volumes");
                return None;
            }
            None if mounts.any(|name| ["nfsvers", "vers"].contains(&name)) => PURE_FILE,
            None if self.name.contains("file") => PURE_FILE,
            None if self.name.contains("block")
                || self.parameter(parameter::FILE_SYSTEM).is_some() =>
            {
                PURE_BLOCK
            }
            None => {
                self.warn(
                    "",
                    "is neither for files nor for blocks; it is left out",
                    "write it by hand, with `like: pure-file` or `like: pure-block`",
                );
                return None;
            }
        };
        let other = if like == PURE_FILE { PURE_BLOCK } else { PURE_FILE };
        if self.name == other {
            self.warn("backend", format!("has the kind that contradicts its name: in pso-gen, `{other}` always has the kind of its name; the class is left out"), "declare a class with another name for its claims");
            return None;
        }
        if !Format::Subdomain.accepts(self.name) {
            self.warn(
                "",
                "has a name that is not valid for a class; it is left out",
                "declare a class with another name",
            );
            return None;
        }
        Some(like)
    }

    fn fields(&mut self, like: &str, fields: &mut Map<String, Json>) {
        let is_file = like == PURE_FILE;
        let parameters = self.class.parameters.clone().unwrap_or_default();
        for (key, value) in &parameters {
            self.one_parameter(is_file, key, value, fields);
        }
        let mut mounts = Vec::new();
        for option in self.class.mount_options.clone().unwrap_or_default() {
            match option.split_once('=').unwrap_or((&option, "")) {
                ("nfsvers" | "vers", "3") if is_file => {
                    fields.insert("nfs".to_owned(), json!("3"));
                }
                // Every mount has these options here.
                ("nfsvers" | "vers", "4" | "4.1") | ("hard", "") if is_file => {}
                ("nfsvers" | "vers" | "minorversion", _) if is_file => self.warn(
                    "mountOptions",
                    format!("{option:?}: pso-gen supports NFS 3 and 4.1"),
                    "the class uses 4.1: enable it on its file systems",
                ),
                _ => mounts.push(option),
            }
        }
        if !mounts.is_empty() {
            let (allowed, bad) = options(mounts, is_file);
            for option in bad {
                self.warn(
                    "mountOptions",
                    format!("{option:?} is an option that classes do not support; it is left out"),
                    "check whether volumes need it: `pso-gen explain Storage.classes`",
                );
            }
            if !allowed.is_empty() {
                fields.insert("mountOptions".to_owned(), json!(allowed));
            }
        }
        match self.class.reclaim_policy.as_deref() {
            Some("Retain") => {
                fields.insert("reclaimPolicy".to_owned(), json!("Retain"));
            }
            None | Some("Delete") => {}
            Some(other) => self.warn(
                "reclaimPolicy",
                format!("is {other:?}; pso-gen supports `Delete` and `Retain`"),
                "write `reclaimPolicy: Retain` at the class to be safe",
            ),
        }
        if self.class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer") {
            fields.insert("waitForPod".to_owned(), json!(true));
        }
        if self.class.allow_volume_expansion == Some(false) {
            fields.insert("expansion".to_owned(), json!(false));
        }
        if self.class.allowed_topologies.as_ref().is_some_and(|all| !all.is_empty()) {
            self.warn("allowedTopologies", "selected nodes and arrays by their labels; in pso-gen, a class selects arrays by `arrays`, and nodes follow from the arrays' `topology`", "write `arrays` at the class: labels that an array must have");
        }
    }

    fn one_parameter(
        &mut self,
        is_file: bool,
        key: &str,
        value: &str,
        fields: &mut Map<String, Json>,
    ) {
        match key {
            parameter::FILE_SYSTEM | "fstype" | "fsType" | "fs" if !is_file => {
                if ["xfs", "ext4"].contains(&value) {
                    fields.insert("fileSystem".to_owned(), json!(value));
                } else {
                    self.warn(key, format!("{value:?} was the file system of new volumes; pso-gen supports `xfs` and `ext4`"), "write `fileSystem: ext4` at the class if you do not want `xfs`");
                }
            }
            // FlashBlades do not let a class choose the file system.
            "backend" | parameter::FILE_SYSTEM | "fstype" | "fsType" | "fs" => {}
            "exportrules" | "pure_export_rules" if is_file => {
                let (rules, errors) = export_rules(value);
                for (did, instead) in errors {
                    self.warn(key, did, instead);
                }
                if !rules.is_empty() {
                    fields.insert("exportRules".to_owned(), json!(rules));
                }
            }
            "iops_limit" | "max_iops" if !is_file && value.parse::<u32>().is_ok() => {
                let qos = fields.entry("qos").or_insert_with(|| json!({}));
                qos["iops"] = json!(value.parse::<u32>().unwrap_or_default());
            }
            "bandwidth_limit" | "max_bandwidth" if !is_file && bandwidth(value).is_some() => {
                let qos = fields.entry("qos").or_insert_with(|| json!({}));
                qos["bandwidth"] = json!(bandwidth(value));
            }
            "createoptions" => self.warn(
                key,
                "were options of mkfs; pso-gen passes none",
                "nothing to do for existing volumes: they keep their file system",
            ),
            "pure_fa_pod_name" => self.warn(
                key,
                "created volumes in a pod of the FlashArray; pso-gen creates them at the top level of the array",
                "volumes in a pod cannot be imported; move them out first",
            ),
            "pure_nfs_endpoint" => self.warn(
                key,
                "was the address that nodes mount from; in pso-gen, it is `data` of the array",
                "write it as `data` of the array",
            ),
            _ => self.warn(
                key,
                "has no counterpart, and is left out",
                "check whether volumes need it: `pso-gen explain Storage.classes`",
            ),
        }
    }
}

/// Converts a limit such as `10G` into a quantity. The units of the old drivers are powers of two.
fn bandwidth(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '/');
    let number: u64 = digits.parse().ok()?;
    let unit = text[digits.len()..].chars().next().map(|unit| unit.to_ascii_uppercase());
    match unit {
        None => Some(number.to_string()),
        Some(unit @ ('K' | 'M' | 'G')) => Some(format!("{number}{unit}i")),
        Some(_) => None,
    }
}
