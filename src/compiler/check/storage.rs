//! Rules of the storage document that its schema cannot express.

mod address;
mod chap;
mod classes;
mod clients;
mod csi;
mod duplicates;
mod foreign;
mod no_effect;
mod node_service;
mod provisioner;

pub use classes::{is_block_option, is_file_option};
pub use duplicates::Storages;

use std::collections::HashSet;

use address::Management;

use crate::compiler::blueprint::{PURE_BLOCK, PURE_FILE};
use crate::compiler::diagnostic::{Code, Diagnostic, nearest};
use crate::compiler::yaml::Node;
use crate::contract::VolumeName;
use crate::contract::certificate_pin;
use crate::contract::storage::{
    ArraySpec, ArrayType, BaseClass, ClassSpec, ImportSpec, SecretSource,
};
use crate::contract::{ClassSnapshots, StorageSpec};
use crate::sanitize::quoted;

/// Longest name of a cluster. A volume's name, `CLUSTER-pvc-UID`, has at most 63 characters.
pub const LONGEST_CLUSTER: usize = 22;

/// Returns the errors of a storage document that has the right shape.
pub fn storage(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut diagnostics = quotas(spec, node);
    diagnostics.extend(cluster(spec, node));
    for (index, array) in spec.arrays.iter().enumerate() {
        diagnostics.extend(reached(array, index, node));
    }
    diagnostics
        .extend(spec.classes.iter().filter_map(|(name, class)| placed(spec, name, class, node)));
    diagnostics.extend(classes::classes(spec, node));
    diagnostics.extend(imports(spec, node));
    diagnostics.extend(duplicates::duplicates(spec, node));
    diagnostics.extend(clients::errors(spec, node));
    diagnostics.extend(provisioner::provisioner(spec, node));
    diagnostics.extend(node_service::node_service(spec, node));
    diagnostics.extend(csi::csi(spec, node));
    diagnostics.extend(foreign::foreign(spec, node));
    diagnostics.extend(chap::chap(spec, node));
    for (name, class) in &spec.classes {
        let path = ["spec", "classes", name, "snapshots"];
        let schedule = class.snapshots;
        let schedule = schedule.map(ClassSnapshots::schedule);
        diagnostics.extend(schedule.and_then(|schedule| super::schedule_at(schedule, node, &path)));
    }
    diagnostics
}

/// Returns advice on a storage document that can be rendered.
pub fn storage_advice(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut advice = duplicates::advice(spec, node);
    advice.extend(clients::advice(spec, node));
    advice.extend(without_arrays(spec, node));
    advice.extend(provisioner::advice(spec, node));
    advice.extend(node_service::advice(spec, node));
    advice.extend(csi::advice(spec, node));
    advice.extend(no_effect::no_effect(spec, node));
    advice
}

/// Formats a path as in documents: `spec.nodes[0]`.
pub(super) fn written(path: &[&str]) -> String {
    let mut at = String::new();
    for part in path {
        if part.parse::<usize>().is_ok() {
            at = format!("{at}[{part}]");
        } else {
            let dot = if at.is_empty() { "" } else { "." };
            at = format!("{at}{dot}{part}");
        }
    }
    at
}

/// Returns the API tokens in the document itself, which belongs in Git.
pub fn tokens(node: &Node) -> Vec<Diagnostic> {
    let arrays = node.get("spec").and_then(|spec| spec.get("arrays"));
    let arrays = arrays.and_then(Node::items).unwrap_or_default().iter().enumerate();
    let mut found = Vec::new();
    for (index, array) in arrays {
        for entry in array.entries().unwrap_or_default() {
            let Some(text) = entry.value.text() else {
                continue;
            };
            // Tokens of both products look like this.
            let looks_like_one = text.len() > 30 && text.starts_with("T-");
            if entry.key == "token" || looks_like_one {
                let message = "an API token does not belong in a file in Git";
                found.push(
                    Diagnostic::new(Code::SecretInFile, entry.value.place, message)
                        .at(format!("spec.arrays[{index}].{}", entry.key))
                        .fix("put it into a Secret and write `token: {secret: NAME, key: KEY}`; then revoke this token on the array"),
                );
            }
        }
    }
    found
}

fn cluster(spec: &StorageSpec, node: &Node) -> Option<Diagnostic> {
    let length = spec.cluster.len();
    (length > LONGEST_CLUSTER).then(|| {
        let message = format!(
            "the name has {length} characters; at most {LONGEST_CLUSTER} are allowed, since a volume's name `CLUSTER-pvc-UID` has at most 63"
        );
        let place = node.place_of(["spec", "cluster"]);
        Diagnostic::new(Code::NameTooLong, place, message).at("spec.cluster")
    })
}

fn quotas(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, quota) in spec.quotas.iter().enumerate() {
        let built_in = [PURE_BLOCK, PURE_FILE];
        let names = || spec.classes.keys().map(String::as_str).chain(built_in);
        if names().any(|name| name == quota.class) {
            continue;
        }
        let place = node.place_of(["spec", "quotas", &index.to_string(), "class"]);
        let fix = match nearest(&quota.class, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write one of this document's classes".to_owned(),
        };
        let message = format!("the class {} does not exist", quoted(&quota.class));
        let at = format!("spec.quotas[{index}].class");
        found.push(Diagnostic::new(Code::BadValue, place, message).at(at).fix(fix));
    }
    let empty = spec.quotas.iter().enumerate();
    let empty = empty.filter(|(_, quota)| quota.claims.is_none() && quota.capacity.is_none());
    let empty = empty.map(|(index, _)| {
        let place = node.place_of(["spec", "quotas", &index.to_string()]);
        let message = "a quota needs `claims`, `capacity` or both";
        Diagnostic::new(Code::MissingField, place, message)
            .at(format!("spec.quotas[{index}]"))
            .fix("write `claims: 100` or `capacity: 100Ti`")
    });
    found.extend(empty);
    found
}

/// Checks that at least one array can hold the volumes of a class.
fn placed(spec: &StorageSpec, name: &str, class: &ClassSpec, node: &Node) -> Option<Diagnostic> {
    let has_labels = |array: &ArraySpec| {
        class.arrays.iter().all(|(key, value)| array.labels.get(key) == Some(value))
    };
    let wanted = array_type(name, class)?;
    if class.arrays.is_empty()
        || spec.arrays.iter().any(|array| has_labels(array) && array.r#type == wanted)
    {
        return None;
    }
    let labels: Vec<String> = class.arrays.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    let labels = labels.join(", ");
    let at = |path: &[&str]| {
        let whole: Vec<&str> =
            ["spec", "classes", name, "arrays"].into_iter().chain(path.iter().copied()).collect();
        (node.place_of(whole.iter().copied()), written(&whole))
    };
    let error = |path: &[&str], message: String, fix: String| {
        let (place, path) = at(path);
        Some(Diagnostic::new(Code::BadValue, place, message).at(path).fix(fix))
    };
    let wait = format!("claims of {name} would wait forever");
    if spec.arrays.iter().any(has_labels) {
        let message = format!("no {} has the labels {{{labels}}}: {wait}", wanted.word());
        return error(&[], message, format!("choose labels of a {}", wanted.word()));
    }
    // A misspelled label is reported at that label.
    let all = || spec.arrays.iter().flat_map(|array| &array.labels);
    for (key, value) in &class.arrays {
        let values = || all().filter(|(other, _)| *other == key).map(|(_, value)| value.as_str());
        let message = format!("no array has the label {key}: {value}: {wait}");
        if values().next().is_none()
            && let Some(near) = nearest(key, all().map(|(key, _)| key.as_str()))
        {
            return error(&[key], message, format!("did you mean `{near}`?"));
        }
        if values().all(|other| other != value)
            && let Some(near) = nearest(value, values())
        {
            return error(&[key], message, format!("did you mean `{near}`?"));
        }
    }
    let message = format!("no array has the labels {{{labels}}}: {wait}");
    error(&[], message, format!("write `labels: {{{labels}}}` on the intended arrays"))
}

/// Returns the type of array that holds the volumes of a class.
fn array_type(name: &str, class: &ClassSpec) -> Option<ArrayType> {
    match (name, class.like) {
        (PURE_FILE, _) | (_, Some(BaseClass::PureFile)) => Some(ArrayType::FlashBlade),
        (PURE_BLOCK, _) | (_, Some(BaseClass::PureBlock)) => Some(ArrayType::FlashArray),
        _ => None,
    }
}

/// Reports classes without any suitable array: their claims wait until one is added.
fn without_arrays(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (name, class) in &spec.classes {
        let Some(wanted) = array_type(name, class) else { continue };
        if spec.arrays.is_empty() || spec.arrays.iter().any(|array| array.r#type == wanted) {
            continue;
        }
        let word = wanted.word();
        let message =
            format!("this document has no {word}: claims of {name} wait until one is added");
        found.push(
            Diagnostic::new(Code::StorageAdvice, node.place_of(["spec", "classes", name]), message)
                .at(format!("spec.classes.{name}"))
                .fix(format!("add a {word} under `arrays`, or remove the class")),
        );
    }
    found
}

/// Checks that each volume to import has one claim and is on a listed array.
fn imports(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let (mut claims, mut volumes) = (HashSet::new(), HashSet::new());
    for (index, import) in spec.imports.iter().enumerate() {
        let error = |field: &str, message: String, fix: String| {
            let place = node.place_of(["spec", "imports", &index.to_string(), field]);
            let path = format!("spec.imports[{index}].{field}");
            Diagnostic::new(Code::BadValue, place, message).at(path).fix(fix)
        };
        let ImportSpec { namespace, claim, array, volume } = import;
        let names = || spec.arrays.iter().map(|array| array.name.as_str());
        if !names().any(|name| name == array) {
            let fix = match nearest(array, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of: {}", names().collect::<Vec<_>>().join(", ")),
            };
            found.push(error(
                "array",
                format!("the array {array} does not exist", array = quoted(array)),
                fix,
            ));
        }
        if VolumeName::new(volume).is_none() {
            let message = format!(
                "{volume} is not a valid name of a file system or volume",
                volume = quoted(volume)
            );
            let fix = "write at most 63 letters, digits, `-` and `_`; a volume in a pod or volume group cannot be imported";
            found.push(error("volume", message, fix.to_owned()));
        }
        let fix = || "remove one of them".to_owned();
        if !claims.insert((namespace, claim)) {
            let message =
                format!("another import assigns a volume to the claim {namespace}/{claim}");
            found.push(error("claim", message, fix()));
        }
        // Arrays compare names case-insensitively.
        if !volumes.insert((array, volume.to_lowercase())) {
            let message = format!("another import assigns {volume} on {array} to a claim");
            found.push(error("volume", message, fix()));
        }
    }
    found
}

/// Checks the addresses, credentials and keys of an array.
fn reached(array: &ArraySpec, index: usize, node: &Node) -> Vec<Diagnostic> {
    let error = |field: &str, code, message: &str, fix: &str| {
        let place = node.place_of(["spec", "arrays", &index.to_string(), field]);
        let path = format!("spec.arrays[{index}].{field}");
        Diagnostic::new(code, place, message).at(path).fix(fix)
    };
    let mut found = Vec::new();
    let source = [("token", Some(&array.token)), ("ca", array.ca.as_ref())];
    for (field, source) in source {
        if source.is_some_and(|source| !is_one_place(source)) {
            let message = "expected one source: a key of a Secret, or a file";
            let fix =
                format!("write `{field}: {{secret: NAME, key: KEY}}` or `{field}: {{file: PATH}}`");
            found.push(error(field, Code::BadValue, message, &fix));
        }
        let key = source.and_then(|source| source.key.as_deref());
        if let Some(key) = key.filter(|key| !is_key(key)) {
            let message = format!("{key} is not a valid key of a Secret", key = quoted(key));
            let fix = "use letters, digits, `-`, `_` and `.`";
            found.push(error(field, Code::BadValue, &message, fix));
        }
    }
    if let Some(pin) = &array.pin {
        if certificate_pin(pin).is_none() {
            let message = format!("{pin} is not the digest of a key", pin = quoted(pin));
            let fix = "write `sha256:` and 64 hexadecimal digits";
            found.push(error("pin", Code::BadValue, &message, fix));
        }
        if array.ca.is_some() {
            let message = "`ca` and `pin` are both set, but only `pin` would be used";
            found.push(error("pin", Code::BadValue, message, "remove one of them"));
        }
    }
    let address = &array.management;
    if !crate::contract::is_address(address) {
        let message = format!("{address} is not a host name or address", address = quoted(address));
        let fix = "write a host name or an address, and `:port` if it is not 443";
        found.push(error("management", Code::BadValue, &message, fix));
    } else if let Some(management) = Management::read(address) {
        let fix = "write the host name or address of the array's management interface";
        if let Some(why) = management.objection() {
            let message = format!(
                "{address} {why}: it cannot be the address of an array",
                address = quoted(address)
            );
            found.push(error("management", Code::BadValue, &message, fix));
        }
    }
    if let Some(Err((message, fix))) = array.data.as_deref().map(address::data) {
        found.push(error("data", Code::BadValue, &message, &fix));
    }
    found
}

/// <https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data>
fn is_key(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=253).contains(&key.len())
        && key.bytes().all(allowed)
        && key != "."
        && !key.starts_with("..")
}

fn is_one_place(source: &SecretSource) -> bool {
    matches!(
        (&source.secret, &source.key, &source.file),
        (Some(_), Some(_), None) | (None, None, Some(_))
    )
}
