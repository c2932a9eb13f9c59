//! The CHAP passwords of nodes with attached volumes. When the Secret has another one, the array gets it without a new
//! attachment: kubelet passes the new one to the node service as soon as the Secret has it. Knows no VolumeAttachments.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::arrays::ChapFolder;
use crate::contract::{ChapPassword, NodeId};
use crate::provisioner::decide::{BackingVolume, EffectError};

/// The time between two looks at the files of the Secrets, which kubelet updates once a minute.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// A node at an array: the names of both.
pub(super) type HostKey = (String, String);

/// The hosts with attached volumes: a volume of the array, and the node.
pub(super) type AttachedHosts = BTreeMap<HostKey, (BackingVolume, NodeId)>;

/// Where passwords come from and go to.
#[async_trait]
pub(super) trait PasswordSetter: Send + Sync {
    /// Returns the passwords of the nodes at an array; none if it asks for none.
    fn passwords(&self, array: &str) -> Option<ChapFolder>;

    /// Sets the password of a node at the array that has a volume.
    async fn set(
        &self,
        volume: &BackingVolume,
        node: NodeId,
        password: &ChapPassword,
    ) -> Result<(), EffectError>;
}

/// The passwords that the arrays have got from this process.
#[derive(Debug, Default)]
pub(super) struct KnownPasswords(Mutex<HashMap<HostKey, ChapPassword>>);

impl KnownPasswords {
    /// Sets each password that differs from the last one. A host that is not among `hosts` is forgotten, because an attachment
    /// that is under way may set an older password after this one. What fails is tried again at the next check.
    pub(super) async fn check(&self, setter: &impl PasswordSetter, hosts: AttachedHosts) {
        // The check before this one may still wait for an array.
        let Ok(mut known) = self.0.try_lock() else { return };
        known.retain(|key, _| hosts.contains_key(key));
        for (key, (volume, node)) in hosts {
            let Some(folder) = setter.passwords(&volume.array) else { continue };
            let (array, name) = (volume.array.as_str(), node.node.clone());
            let password = match folder.read(&name).await {
                Ok(password) => password,
                Err(error) => {
                    warn!(array, node = name, error, "the CHAP password of a node cannot be read");
                    continue;
                }
            };
            if known.get(&key) == Some(&password) {
                continue;
            }
            known.remove(&key);
            match setter.set(&volume, node, &password).await {
                Ok(()) => {
                    info!(array, node = name, "the array has the CHAP password of a node");
                    known.insert(key, password);
                }
                Err(error) => {
                    warn!(array, node = name, ?error, "the CHAP password of a node is not set");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex as StdMutex;

    use super::*;
    use crate::contract::{VolumeId, VolumeName};

    /// An array that may refuse.
    struct FakeArray {
        folder: PathBuf,
        refuses: bool,
        got: StdMutex<Vec<(String, String)>>,
    }

    #[async_trait]
    impl PasswordSetter for FakeArray {
        fn passwords(&self, array: &str) -> Option<ChapFolder> {
            (array == "fa1").then(|| ChapFolder::new(&self.folder))
        }

        async fn set(
            &self,
            _: &BackingVolume,
            node: NodeId,
            password: &ChapPassword,
        ) -> Result<(), EffectError> {
            let got = (node.node, password.expose().to_owned());
            self.got.lock().expect("free").push(got);
            if self.refuses { Err(EffectError::NotLeading) } else { Ok(()) }
        }
    }

    fn hosts(of: &[(&str, &str)]) -> AttachedHosts {
        let host = |(array, node): &(&str, &str)| {
            let name = VolumeName::new("prod-pvc-1").expect("valid");
            let volume = VolumeId { name, id: "v1".to_owned() };
            let (array, array_id) = ((*array).to_owned(), "id".to_owned());
            let key = (array.clone(), (*node).to_owned());
            let node = NodeId { node: (*node).to_owned(), ..NodeId::default() };
            (key, (BackingVolume { array, array_id, volume }, node))
        };
        of.iter().map(host).collect()
    }

    #[tokio::test]
    async fn an_array_gets_a_password_when_it_is_another_one_and_until_it_takes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |node: &str, text: &str| {
            std::fs::write(folder.path().join(node), text).expect("written");
        };
        write("n1", "correct-horse-1");
        write("n2", "correct-horse-2");
        let mut array = FakeArray {
            folder: folder.path().to_owned(),
            refuses: false,
            got: StdMutex::default(),
        };
        let known = KnownPasswords::default();
        // An array without passwords, and a node without a key, keep the others from nothing.
        let all = [("fa0", "n1"), ("fa1", "n0"), ("fa1", "n1"), ("fa1", "n2")];
        let got = |array: &mut FakeArray| {
            let got = std::mem::take(array.got.get_mut().expect("free"));
            got.into_iter().map(|(node, password)| format!("{node} {password}")).collect::<Vec<_>>()
        };
        known.check(&array, hosts(&all)).await;
        assert_eq!(got(&mut array), ["n1 correct-horse-1", "n2 correct-horse-2"]);
        known.check(&array, hosts(&all)).await;
        assert_eq!(got(&mut array), Vec::<String>::new());
        write("n1", "rotated-horse-1");
        array.refuses = true;
        known.check(&array, hosts(&all)).await;
        assert_eq!(got(&mut array), ["n1 rotated-horse-1"]);
        array.refuses = false;
        for expected in [vec!["n1 rotated-horse-1"], vec![]] {
            known.check(&array, hosts(&all)).await;
            assert_eq!(got(&mut array), expected);
        }
        // An attachment to n2 is under way: what it sets is unknown.
        known.check(&array, hosts(&all[..3])).await;
        assert_eq!(got(&mut array), Vec::<String>::new());
        known.check(&array, hosts(&all)).await;
        assert_eq!(got(&mut array), ["n2 correct-horse-2"]);
    }
}
