//! Converts the old file's defaults for new volumes into the two classes.

use serde_json::{Map, Value as Json, json};

use super::{OldConfig, Reader, is_true};
use crate::adapters::migrate::keys::{lost, unknown};
use crate::compiler::blueprint::{PURE_BLOCK, PURE_FILE};
use crate::compiler::check::{is_block_option, is_file_option};
use crate::compiler::diagnostic::Code;
use crate::compiler::yaml::{Entry, Node};

impl Reader<'_> {
    pub(super) fn classes(&mut self, old: &mut OldConfig) {
        let (mut file, mut block) = (Map::new(), Map::new());
        for entry in self.root.get("flasharray").and_then(Node::entries).unwrap_or_default() {
            self.flasharray(entry, &mut block);
        }
        for entry in self.root.get("flashblade").and_then(Node::entries).unwrap_or_default() {
            self.flashblade(entry, &mut file);
        }
        if is_true(self.root.get("storagetopology").and_then(|said| said.get("enable"))) {
            file.insert("waitForPod".to_owned(), json!(true));
            block.insert("waitForPod".to_owned(), json!(true));
        }
        self.class_pure(&file, &block, old);
        for (name, class) in [(PURE_FILE, file), (PURE_BLOCK, block)] {
            if !class.is_empty() {
                old.classes.insert(name.to_owned(), Json::Object(class));
            }
        }
    }

    /// Reads the class `pure` of charts before version 6.
    fn class_pure(
        &mut self,
        file: &Map<String, Json>,
        block: &Map<String, Json>,
        old: &mut OldConfig,
    ) {
        let Some(section) = self.root.get("storageclass") else { return };
        let mut files = false;
        let mut default = false;
        for entry in section.entries().unwrap_or_default() {
            let at = format!("storageclass.{}", entry.key);
            match (entry.key.as_str(), entry.value.text()) {
                ("isPureDefault", _) => default = is_true(Some(&entry.value)),
                ("pureBackend", Some("file")) => files = true,
                ("pureBackend", Some("block") | None) => {}
                ("pureBackend", Some(_)) => self.wrong(
                    Code::BadValue,
                    &entry.value,
                    &at,
                    "is not a kind of array",
                    "write `file` or `block`",
                ),
                _ => self.found.push(unknown(entry, &at, &["isPureDefault", "pureBackend"])),
            }
        }
        let (like, fields) = if files { (PURE_FILE, file) } else { (PURE_BLOCK, block) };
        let mut fields = fields.clone();
        fields.insert("like".to_owned(), json!(like));
        if default {
            fields.insert("default".to_owned(), json!(true));
        }
        old.classes.insert("pure".to_owned(), Json::Object(fields));
    }

    fn flasharray(&mut self, entry: &Entry, block: &mut Map<String, Json>) {
        const KEYS: [&str; 7] = [
            "sanType",
            "defaultFSType",
            "defaultFSOpt",
            "defaultMountOpt",
            "preemptAttachments",
            "iSCSILoginTimeout",
            "iSCSIAllowedCIDR",
        ];
        let at = format!("flasharray.{}", entry.key);
        let text = entry.value.text().unwrap_or_default();
        let warning = match entry.key.as_str() {
            "sanType" if !text.eq_ignore_ascii_case("iscsi") => Some((
                "attached volumes by another protocol; pso-gen supports only iSCSI",
                "set up iSCSI on the nodes, or keep the old driver for the FlashArrays",
            )),
            "defaultFSType" if ["xfs", "ext4"].contains(&text) => {
                block.insert("fileSystem".to_owned(), json!(text));
                None
            }
            "defaultFSType" => Some((
                "was the file system of new volumes; pso-gen supports `xfs` and `ext4`",
                "write `fileSystem: ext4` at the class if you do not want `xfs`",
            )),
            "defaultFSOpt" if !["", "-q"].contains(&text) => Some((
                "were options of mkfs; pso-gen passes none",
                "nothing to do for existing volumes: they keep their file system",
            )),
            "preemptAttachments" if is_true(Some(&entry.value)) => Some((
                "disconnected the node that had a volume before another one got it; pso-gen waits until the node has detached the volume",
                "when the node is switched off for good, run `kubectl taint node NAME node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`",
            )),
            "iSCSILoginTimeout" if text != "20" => Some((
                "was the time limit for log-ins; pso-gen uses the settings of the node",
                "set `node.conn[0].timeo.login_timeout` in the nodes' iscsid.conf",
            )),
            "iSCSIAllowedCIDR" if !entry.value.is_null() && !text.is_empty() => Some((
                "selected the networks of portals; pso-gen uses all portals with an IQN",
                "limit the network so that nodes reach only the intended portals",
            )),
            "defaultMountOpt" => {
                self.mount_options(entry, block);
                None
            }
            key if KEYS.contains(&key) => None,
            _ => {
                self.found.push(unknown(entry, &at, &KEYS));
                None
            }
        };
        self.found.extend(warning.map(|(did, instead)| lost(entry, &at, did, instead)));
    }

    fn mount_options(&mut self, entry: &Entry, block: &mut Map<String, Json>) {
        // A list, or one text with commas.
        let words: Vec<String> = match (entry.value.items(), entry.value.text()) {
            (Some(items), _) => items.iter().filter_map(Node::text).map(str::to_owned).collect(),
            (None, Some(text)) => text.split(',').map(|word| word.trim().to_owned()).collect(),
            _ => Vec::new(),
        };
        let (allowed, bad) = options(words.into_iter().filter(|word| !word.is_empty()), false);
        for option in bad {
            let is_it = |item: &&Node| item.text() == Some(option.as_str());
            let node =
                entry.value.items().unwrap_or_default().iter().find(is_it).unwrap_or(&entry.value);
            let message = format!("classes do not support the option {option:?}; it is left out");
            self.wrong(
                Code::NoCounterpart,
                node,
                "flasharray.defaultMountOpt",
                &message,
                "check whether volumes need it: `pso-gen explain Storage.classes`",
            );
        }
        if !allowed.is_empty() {
            block.insert("mountOptions".to_owned(), json!(allowed));
        }
    }

    fn flashblade(&mut self, entry: &Entry, file: &mut Map<String, Json>) {
        const KEYS: [&str; 2] = ["snapshotDirectoryEnabled", "exportRules"];
        let at = format!("flashblade.{}", entry.key);
        let text = entry.value.text().unwrap_or_default();
        match entry.key.as_str() {
            "snapshotDirectoryEnabled" if is_true(Some(&entry.value)) => {
                let message =
                    "showed the folder `.snapshot` in every file system; pso-gen hides it";
                self.found.push(lost(
                    entry,
                    &at,
                    message,
                    "existing file systems keep it; for new ones, enable it on the array",
                ));
            }
            "exportRules" => {
                let (rules, wrong) = export_rules(text);
                for (did, instead) in wrong {
                    self.found.push(lost(entry, &at, &did, instead));
                }
                if !rules.is_empty() {
                    file.insert("exportRules".to_owned(), json!(rules));
                }
            }
            key if KEYS.contains(&key) => {}
            _ => self.found.push(unknown(entry, &at, &KEYS)),
        }
    }
}

/// Splits mount options into those that a class may have, and the others.
pub(in crate::adapters::migrate) fn options(
    words: impl IntoIterator<Item = String>,
    is_file: bool,
) -> (Vec<String>, Vec<String>) {
    words
        .into_iter()
        .partition(|word| if is_file { is_file_option(word) } else { is_block_option(word) })
}

/// Settings without a counterpart: their purpose, and the alternative.
type Unsupported = Vec<(String, &'static str)>;

/// Parses export rules of an array. Returns no rules when every client may mount, or when they cannot be parsed.
pub(in crate::adapters::migrate) fn export_rules(text: &str) -> (Vec<Json>, Unsupported) {
    let Some((rules, left_out)) = rules(text) else {
        let did = "cannot be read; only the networks of the nodes may mount new file systems";
        let instead = "write `exportRules` at the class if other clients need access";
        return (Vec::new(), vec![(did.to_owned(), instead)]);
    };
    let mut lost = Vec::new();
    if !left_out.is_empty() {
        let did =
            format!("options without a counterpart are left out: `{}`", left_out.join("`, `"));
        lost.push((
            did,
            "existing file systems keep their rules; check whether new ones need the options",
        ));
    }
    let is_unrestricted = rules.iter().any(|rule| rule["clients"] == "*");
    if is_unrestricted || rules.is_empty() {
        let did = "let every host mount; with pso-gen, only the networks of the nodes may";
        let instead = "imported volumes keep their rules: limit them on the array";
        lost.push((did.to_owned(), instead));
        return (Vec::new(), lost);
    }
    (rules, lost)
}

/// Parses rules such as `10.0.0.0/8(rw,no_root_squash) @ops(ro)`, and returns the options without a counterpart
/// separately.
fn rules(text: &str) -> Option<(Vec<Json>, Vec<String>)> {
    let (mut rules, mut left_out) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        let (clients, options) = word.split_once('(').map_or((word, ""), |(a, b)| (a, b));
        let options = if options.is_empty() { "" } else { options.strip_suffix(')')? };
        if clients.is_empty() || clients.contains([',', ')']) {
            return None;
        }
        let mut rule = json!({"clients": clients});
        // The array's default.
        let mut squash = Some("root");
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => rule["access"] = json!("read-only"),
                "no_root_squash" => squash = None,
                "root_squash" => squash = Some("root"),
                "all_squash" => squash = Some("all"),
                // Every mount here uses `sys`.
                "rw" | "secure" | "insecure" | "atime" | "noatime" | "sec=sys" => {}
                other
                    if other.bytes().all(|b| b.is_ascii_alphanumeric() || b"=_:".contains(&b)) =>
                {
                    // With another authentication, a rule admits other clients.
                    if other.starts_with("sec=") {
                        return None;
                    }
                    left_out.push(format!("{clients}: {other}"));
                }
                _ => return None,
            }
        }
        if let Some(squash) = squash {
            rule["squash"] = json!(squash);
        }
        rules.push(rule);
    }
    Some((rules, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_rules_are_read_as_the_array_reads_them() {
        assert!(export_rules("*(rw,no_root_squash)").0.is_empty());
        let (two, left_out) =
            rules("10.0.0.0/8(rw,no_root_squash,sec=sys) @ops(ro)").expect("read");
        assert_eq!(two[0], json!({"clients": "10.0.0.0/8"}));
        assert_eq!(two[1], json!({"clients": "@ops", "access": "read-only", "squash": "root"}));
        assert!(left_out.is_empty());
        let (one, left_out) = rules("192.168.1.1(ro,anonuid=65534)").expect("read");
        assert_eq!(
            one,
            [json!({"clients": "192.168.1.1", "access": "read-only", "squash": "root"})]
        );
        assert_eq!(left_out, ["192.168.1.1: anonuid=65534"]);
        assert!(export_rules("192.168.1.1(ro,anonuid=65534)").1[0].0.contains("anonuid=65534"));
        for bad in ["10.0.0.0/8(rw", "a(sec=krb5)", "(rw)", "a,b", "a(\"x\")"] {
            assert_eq!(rules(bad), None, "{bad}");
        }
    }
}
