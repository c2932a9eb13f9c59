//! What the old file says of new volumes, as the two classes.

use serde_json::{Map, Value as Json, json};

use super::{Old, Reader, is_true};
use crate::blueprint::{PURE_BLOCK, PURE_FILE};
use crate::check::is_block_option;
use crate::diagnostic::Code;
use crate::migrate::keys::{lost, unknown};
use crate::yaml::{Entry, Node};

impl Reader<'_> {
    pub(super) fn classes(&mut self, old: &mut Old) {
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
        let class = self.root.get("storageclass");
        for entry in class.and_then(Node::entries).unwrap_or_default() {
            let at = format!("storageclass.{}", entry.key);
            match entry.key.as_str() {
                "isPureDefault" if is_true(Some(&entry.value)) => {
                    let files =
                        class.and_then(|class| class.get("pureBackend")?.text()) == Some("file");
                    let to = if files { &mut file } else { &mut block };
                    to.insert("default".to_owned(), json!(true));
                    let message = "made the class `pure` the default; here the class of its kind is, since there is no `pure`";
                    self.found.push(lost(entry, &at, message, "claims that name `pure` need another name; Kubernetes does not let a claim's class change"));
                }
                "isPureDefault" | "pureBackend" => {}
                _ => self.found.push(unknown(entry, &at, &["isPureDefault", "pureBackend"])),
            }
        }
        for (name, class) in [(PURE_FILE, file), (PURE_BLOCK, block)] {
            if !class.is_empty() {
                old.classes.insert(name.to_owned(), Json::Object(class));
            }
        }
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
                "attached volumes by another way than iSCSI; here it is iSCSI alone",
                "give the nodes iSCSI, or keep the old driver for the FlashArrays",
            )),
            "defaultFSType" if ["xfs", "ext4"].contains(&text) => {
                block.insert("fileSystem".to_owned(), json!(text));
                None
            }
            "defaultFSType" => Some((
                "was the file system of new volumes; here it is `xfs` or `ext4`",
                "write `fileSystem: ext4` at the class when `xfs` does not suit",
            )),
            "defaultFSOpt" if !["", "-q"].contains(&text) => Some((
                "were options of mkfs; here mkfs has none",
                "nothing to do for volumes that are there: they keep their file system",
            )),
            "preemptAttachments" if is_true(Some(&entry.value)) => Some((
                "cut the node that had a volume off before another one got it; here a volume waits until its node lets go",
                "once the node is switched off for good: `kubectl taint node NAME node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`",
            )),
            "iSCSILoginTimeout" if text != "20" => Some((
                "was how long nodes waited for a log-in; here the node's own settings count",
                "set `node.conn[0].timeo.login_timeout` in the nodes' iscsid.conf",
            )),
            "iSCSIAllowedCIDR" if !entry.value.is_null() && !text.is_empty() => Some((
                "chose the networks of portals; here all portals with an IQN are used",
                "let the nodes reach those alone that they shall use",
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
        let mut options = Vec::new();
        for option in entry.value.items().unwrap_or_default() {
            let Some(text) = option.text() else { continue };
            if is_block_option(text) {
                options.push(text);
            } else {
                let message = "has an option that classes here cannot have; it is left out";
                self.wrong(
                    Code::NoCounterpart,
                    option,
                    "flasharray.defaultMountOpt",
                    message,
                    "see whether volumes need it: `pso-gen explain Storage.classes`",
                );
            }
        }
        if !options.is_empty() {
            block.insert("mountOptions".to_owned(), json!(options));
        }
    }

    fn flashblade(&mut self, entry: &Entry, file: &mut Map<String, Json>) {
        const KEYS: [&str; 2] = ["snapshotDirectoryEnabled", "exportRules"];
        let at = format!("flashblade.{}", entry.key);
        let text = entry.value.text().unwrap_or_default();
        match entry.key.as_str() {
            "snapshotDirectoryEnabled" if is_true(Some(&entry.value)) => {
                let message =
                    "showed the folder `.snapshot` in every file system; here it is not shown";
                self.found.push(lost(
                    entry,
                    &at,
                    message,
                    "file systems that are there keep it; for others, switch it on on the array",
                ));
            }
            "exportRules" => match rules(text) {
                Some(rules) if rules.is_empty() => {
                    let message = "let everybody mount; here the networks of the nodes alone may";
                    self.found.push(lost(
                        entry,
                        &at,
                        message,
                        "volumes that are imported keep their rules: narrow them on the array",
                    ));
                }
                Some(rules) => {
                    file.insert("exportRules".to_owned(), json!(rules));
                }
                None => {
                    let message = "cannot be read; the networks of the nodes alone may mount new file systems";
                    self.found.push(lost(
                        entry,
                        &at,
                        message,
                        "write `exportRules` at the class `pure-file` when others shall",
                    ));
                }
            },
            key if KEYS.contains(&key) => {}
            _ => self.found.push(unknown(entry, &at, &KEYS)),
        }
    }
}

/// Reads export rules such as `10.0.0.0/8(rw,no_root_squash) @ops(ro)`; none are left when everybody may.
fn rules(text: &str) -> Option<Vec<Json>> {
    let mut rules = Vec::new();
    for word in text.split_whitespace() {
        let (clients, options) = word.split_once('(').map_or((word, ""), |(a, b)| (a, b));
        let options = if options.is_empty() { "" } else { options.strip_suffix(')')? };
        if clients.is_empty() || clients.contains([',', ')']) {
            return None;
        }
        let mut rule = json!({"clients": clients});
        // What an array takes when a rule says nothing.
        let mut squash = Some("root");
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => rule["access"] = json!("read-only"),
                "no_root_squash" => squash = None,
                "root_squash" => squash = Some("root"),
                "all_squash" => squash = Some("all"),
                "rw" | "secure" | "insecure" | "atime" | "noatime" => {}
                _ => return None,
            }
        }
        if let Some(squash) = squash {
            rule["squash"] = json!(squash);
        }
        if clients == "*" {
            return Some(Vec::new());
        }
        rules.push(rule);
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_rules_are_read_as_the_array_reads_them() {
        assert_eq!(rules("*(rw,no_root_squash)"), Some(Vec::new()));
        let two = rules("10.0.0.0/8(rw,no_root_squash) @ops(ro)").expect("read");
        assert_eq!(two[0], json!({"clients": "10.0.0.0/8"}));
        assert_eq!(two[1], json!({"clients": "@ops", "access": "read-only", "squash": "root"}));
        for bad in ["10.0.0.0/8(rw", "a(krb)", "(rw)", "a,b"] {
            assert_eq!(rules(bad), None, "{bad}");
        }
    }
}
