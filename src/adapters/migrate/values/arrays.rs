//! Reads the arrays of the old file.

use std::collections::BTreeMap;

use super::{OldArray, OldConfig, Reader, is_true};
use crate::adapters::migrate::keys::{lost, unknown};
use crate::compiler::diagnostic::{Code, any_error};
use crate::compiler::yaml::Node;
use crate::contract::is_address;
use crate::contract::storage::ArrayType;

/// Prefixes of labels with which the old drivers marked the nodes that reach an array.
const TOPOLOGY: [&str; 2] = ["topology.purestorage.com/", "topology.portworx.io/"];

impl Reader<'_> {
    pub(super) fn arrays(&mut self, old: &mut OldConfig) {
        let inside = self.root.get("arrays");
        for entry in inside.and_then(Node::entries).unwrap_or_default() {
            if !["FlashArrays", "FlashBlades"].contains(&entry.key.as_str()) {
                let path = format!("arrays.{}", entry.key);
                self.found.push(unknown(entry, &path, &["FlashArrays", "FlashBlades"]));
            }
        }
        let lists = inside.filter(|inside| !inside.is_null()).unwrap_or(self.root);
        if inside.is_some_and(|inside| !inside.is_null()) {
            for list in ["FlashBlades", "FlashArrays"] {
                if let Some(entry) = self.root.entry(list) {
                    let did = "is beside `arrays` instead of inside it, and is left out";
                    self.found.push(lost(entry, list, did, "move it under `arrays`"));
                }
            }
        }
        let kinds = [
            ("FlashBlades", "fb", ArrayType::FlashBlade),
            ("FlashArrays", "fa", ArrayType::FlashArray),
        ];
        for (list, short, kind) in kinds {
            let there = lists.get(list).filter(|there| !there.is_null());
            if let Some(there) = there.filter(|there| there.items().is_none()) {
                self.wrong(
                    Code::WrongType,
                    there,
                    list,
                    "is not a list of arrays",
                    "write a list: `- MgmtEndPoint: …`",
                );
            }
            let items = there.and_then(Node::items).unwrap_or_default();
            for (index, item) in items.iter().enumerate() {
                let path = format!("{list}[{index}]");
                let name = format!("{short}{}", index + 1);
                old.arrays.extend(self.array(item, &path, name, kind));
            }
        }
        if old.arrays.is_empty() && !any_error(&self.found) {
            let message = "the configuration has no FlashBlade and no FlashArray";
            let fix = if is_true(self.root.get("existingSecret")) {
                "the chart read them from a Secret: use that one, `kubectl get secret pure-provisioner-secret -o yaml`"
            } else {
                "list them under `arrays` as `FlashArrays` and `FlashBlades`"
            };
            self.wrong(Code::MissingField, self.root, "arrays", message, fix);
        }
    }

    fn array(
        &mut self,
        item: &Node,
        path: &str,
        name: String,
        kind: ArrayType,
    ) -> Option<OldArray> {
        const KEYS: [&str; 4] = ["MgmtEndPoint", "APIToken", "NFSEndPoint", "Labels"];
        let blade = kind == ArrayType::FlashBlade;
        for entry in item.entries().unwrap_or_default() {
            let at = format!("{path}.{}", entry.key);
            match entry.key.as_str() {
                "NFSEndPoint" | "NfsEndPoint" if !blade => self.found.push(lost(entry, &at,
                    "created file systems on a FlashArray; pso-gen supports file systems only on FlashBlades",
                    "its volumes stay; keep the old driver for them, or copy their files to claims of `pure-file`")),
                // The name in PSO 5.
                "NfsEndPoint" => {}
                "Realm" => self.found.push(lost(entry, &at,
                    "created volumes in a realm or pod; pso-gen creates them at the top level of the array",
                    "volumes in a realm or pod cannot be imported; grant the token's user the rights at the top level")),
                "VLAN" => self.found.push(lost(entry, &at,
                    "selected portals by their VLAN; pso-gen uses all portals with an IQN",
                    "limit the network so that nodes reach only the intended portals")),
                key if !KEYS.contains(&key) => self.found.push(unknown(entry, &at, &KEYS)),
                _ => {}
            }
        }
        let management = self.word(item, &["MgmtEndPoint"], path)?;
        let management = management.strip_prefix("https://").unwrap_or(&management);
        let management = management.trim_end_matches('/').to_owned();
        let token = self.word(item, &["APIToken"], path)?;
        if !is_address(&management) {
            let at = format!("{path}.MgmtEndPoint");
            let node = item.get("MgmtEndPoint").unwrap_or(item);
            self.wrong(
                Code::BadValue,
                node,
                &at,
                "is not a host name or address",
                "write a host name or an address, and `:port` if it is not 443",
            );
        }
        let (data, data_addresses) = if blade { self.data(item, path) } else { (None, Vec::new()) };
        let (labels, topology) = self.labels(item, path);
        let token = token.into();
        Some(OldArray { name, kind, management, data, data_addresses, labels, topology, token })
    }

    /// Returns the address that nodes mount from. When left out, the provisioner reads it from the array.
    fn data(&mut self, item: &Node, path: &str) -> (Option<String>, Vec<String>) {
        let entry = item.entry("NFSEndPoint").or_else(|| item.entry("NfsEndPoint"));
        let node = entry.map(|entry| &entry.value);
        let words: Vec<String> = match node.map(|node| (node.items(), node.text())) {
            Some((Some(items), _)) => {
                items.iter().filter_map(Node::text).map(str::to_owned).collect()
            }
            Some((None, Some(text))) => {
                text.split(',').map(|word| word.trim().to_owned()).collect()
            }
            _ => Vec::new(),
        };
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let at = format!("{path}.NFSEndPoint");
        let (Some(first), Some(node)) = (words.first().cloned(), node) else {
            if let Some(entry) = entry {
                let did = "is empty: nodes mount from an address that the array reports";
                self.found.push(lost(
                    entry,
                    &at,
                    did,
                    "write a data address as `data` of the array, so that policies name it",
                ));
            }
            return (None, Vec::new());
        };
        if words.len() > 1 {
            let message = "has several addresses; nodes mount from the first one";
            self.wrong(
                Code::NoCounterpart,
                node,
                &at,
                message,
                "to use another one, write it as `data` of the array",
            );
        }
        if !is_address(&first) {
            self.wrong(
                Code::BadValue,
                node,
                &at,
                "is not a host name or address",
                "write the address of a data interface",
            );
        }
        (Some(first), words)
    }

    /// Returns a required word. The diagnostic does not contain the value, which may be the token.
    fn word(&mut self, item: &Node, keys: &[&str], path: &str) -> Option<String> {
        let node = keys.iter().find_map(|key| item.get(key));
        let text = node.and_then(Node::text).filter(|text| !text.trim().is_empty());
        if text.is_none() {
            let key = keys[0];
            let message = "is missing, or is not a text";
            self.wrong(
                Code::MissingField,
                node.unwrap_or(item),
                &format!("{path}.{key}"),
                message,
                &format!("write `{key}: …` at this array"),
            );
        }
        text.map(|text| text.trim().to_owned())
    }

    fn labels(
        &mut self,
        item: &Node,
        path: &str,
    ) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let (mut labels, mut topology) = (BTreeMap::new(), BTreeMap::new());
        let enabled =
            self.root.get("storagetopology").is_none_or(|said| is_true(said.get("enable")));
        if let Some(entry) = item.entry("Labels")
            && entry.value.entries().is_none()
            && !entry.value.is_null()
        {
            let at = format!("{path}.Labels");
            self.found.push(lost(
                entry,
                &at,
                "is not a mapping, and is left out",
                "write `Labels: {rack: \"22\"}`",
            ));
        }
        for entry in item.get("Labels").and_then(Node::entries).unwrap_or_default() {
            let Some(value) = entry.value.text() else {
                let at = format!("{path}.Labels.{}", entry.key);
                self.found.push(lost(entry, &at, "is not a text, and is left out", "write a text"));
                continue;
            };
            let of_nodes = enabled && TOPOLOGY.iter().any(|first| entry.key.starts_with(first));
            let to = if of_nodes { &mut topology } else { &mut labels };
            to.insert(entry.key.clone(), value.to_owned());
        }
        (labels, topology)
    }
}
