//! The CHAP passwords of nodes with attached volumes. When the Secret has another one, the array gets it without a new
//! attachment: kubelet passes the new one to the node service as soon as the Secret has it. Knows no VolumeAttachments.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::arrays::ChapFolder;
use crate::concurrency::with_flow;
use crate::contract::{ChapPassword, NodeId};
use crate::provisioner::decide::{BackingVolume, EffectError};

/// The time between two looks at the files of the Secrets, which kubelet updates once a minute.
const EVERY: Duration = Duration::from_secs(30);

/// The hosts with attached volumes, by the names of their array and node: a volume of the array, and the node.
pub(super) type AttachedHosts = BTreeMap<String, BTreeMap<String, (BackingVolume, NodeId)>>;

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

/// The periodic checks. Each array has a task of its own, so that one that is silent delays the passwords of no other.
pub(super) struct PasswordChecks {
    arrays: HashMap<String, Arc<ArrayPasswords>>,
    tasks: JoinSet<()>,
    interval: Interval,
}

impl Default for PasswordChecks {
    fn default() -> Self {
        let mut interval = interval(EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { arrays: HashMap::new(), tasks: JoinSet::new(), interval }
    }
}

impl PasswordChecks {
    /// Waits for the time of the next check. May be dropped while it waits.
    pub(super) async fn due(&mut self) {
        self.interval.tick().await;
        while self.tasks.try_join_next().is_some() {}
    }

    /// Checks the hosts of each array, on behalf of a flow. An array whose earlier check still waits is left out.
    pub(super) fn start<S: PasswordSetter + 'static>(
        &mut self,
        setter: &Arc<S>,
        flow: &'static str,
        hosts: AttachedHosts,
    ) {
        for (array, hosts) in hosts {
            let (passwords, setter) = (self.of(&array), Arc::clone(setter));
            self.tasks.spawn(async move {
                with_flow(flow, passwords.check(setter.as_ref(), &array, hosts)).await;
            });
        }
    }

    /// Records that an attachment begins or ends, which sets the password that it read at its start: the password that the
    /// array has for the node is unknown until the next check that begins after this.
    pub(super) fn forget(&mut self, array: &str, node: &str) {
        let passwords = self.of(array);
        let mut uncertain = passwords.uncertain.lock().unwrap_or_else(PoisonError::into_inner);
        uncertain.insert(node.to_owned());
    }

    /// Ends the checks. Returns whether no request was cut off: an array may carry out one that was, after the next leader
    /// has set a newer password.
    pub(super) async fn end(&mut self) -> bool {
        self.tasks.abort_all();
        let mut is_complete = true;
        while let Some(ended) = self.tasks.join_next().await {
            is_complete &= ended.is_ok();
        }
        is_complete
    }

    fn of(&mut self, array: &str) -> Arc<ArrayPasswords> {
        Arc::clone(self.arrays.entry(array.to_owned()).or_default())
    }
}

/// The passwords that an array has got from this process, by node.
#[derive(Debug, Default)]
struct ArrayPasswords {
    known: Mutex<HashMap<String, ChapPassword>>,
    /// Nodes whose password an attachment may have changed since.
    uncertain: StdMutex<HashSet<String>>,
}

impl ArrayPasswords {
    /// Sets each password that differs from the last one. A host that is not among `hosts` is forgotten, because an attachment
    /// that is under way may set an older password after this one. What fails is tried again at the next check.
    async fn check(
        &self,
        setter: &impl PasswordSetter,
        array: &str,
        hosts: BTreeMap<String, (BackingVolume, NodeId)>,
    ) {
        // The check before this one may still wait for the array.
        let Ok(mut known) = self.known.try_lock() else { return };
        let uncertain = {
            let mut uncertain = self.uncertain.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *uncertain)
        };
        known.retain(|node, _| hosts.contains_key(node) && !uncertain.contains(node));
        let Some(folder) = setter.passwords(array) else { return };
        for (name, (volume, node)) in hosts {
            let password = match folder.read(&name).await {
                Ok(password) => password,
                Err(error) => {
                    warn!(array, node = name, error, "the CHAP password of a node cannot be read");
                    continue;
                }
            };
            if known.get(&name) == Some(&password) {
                continue;
            }
            known.remove(&name);
            match setter.set(&volume, node, &password).await {
                Ok(()) => {
                    info!(array, node = name, "the array has the CHAP password of a node");
                    known.insert(name, password);
                }
                Err(error) => {
                    warn!(array, node = name, ?error, "the CHAP password of a node is not set");
                    // Each further request would wait as long, and the next check comes later.
                    if is_away(&error) {
                        return;
                    }
                }
            }
        }
    }
}

/// Returns whether an error is one of the array or of this process, not of one host.
fn is_away(error: &EffectError) -> bool {
    match error {
        EffectError::NotLeading => true,
        EffectError::Array { reason, .. } => matches!(
            *reason,
            "Busy"
                | "LoginRefused"
                | "NoToken"
                | "NotRegistered"
                | "UnknownArray"
                | "UnknownOutcome"
                | "Unreachable"
                | "Untrusted"
        ),
        EffectError::Conflict | EffectError::Exists | EffectError::Cluster(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::contract::{Retry, VolumeId, VolumeName};

    /// Arrays that may refuse, or be silent.
    struct FakeArrays {
        folder: PathBuf,
        /// The array that answers each request with this reason.
        refuses: StdMutex<Option<(&'static str, &'static str)>>,
        /// The array that answers when it gets a permit.
        silent: &'static str,
        answers: Semaphore,
        got: StdMutex<Vec<String>>,
    }

    impl FakeArrays {
        fn new(folder: &Path, silent: &'static str) -> Arc<Self> {
            Arc::new(Self {
                folder: folder.to_owned(),
                refuses: StdMutex::default(),
                silent,
                answers: Semaphore::new(0),
                got: StdMutex::default(),
            })
        }

        fn refuse(&self, answer: Option<(&'static str, &'static str)>) {
            *self.refuses.lock().expect("free") = answer;
        }

        /// Returns the requests since the last call.
        fn got(&self) -> Vec<String> {
            std::mem::take(&mut *self.got.lock().expect("free"))
        }
    }

    #[async_trait]
    impl PasswordSetter for FakeArrays {
        fn passwords(&self, array: &str) -> Option<ChapFolder> {
            (array != "fa0").then(|| ChapFolder::new(&self.folder))
        }

        async fn set(
            &self,
            volume: &BackingVolume,
            node: NodeId,
            password: &ChapPassword,
        ) -> Result<(), EffectError> {
            let got = format!("{} {} {}", volume.array, node.node, password.expose());
            self.got.lock().expect("free").push(got);
            if volume.array == self.silent {
                self.answers.acquire().await.expect("open").forget();
            }
            match *self.refuses.lock().expect("free") {
                Some((array, reason)) if array == volume.array => {
                    Err(EffectError::Array { reason, message: String::new(), retry: Retry::Later })
                }
                _ => Ok(()),
            }
        }
    }

    fn hosts(of: &[(&str, &str)]) -> AttachedHosts {
        let mut hosts = AttachedHosts::new();
        for (array, node) in of {
            let name = VolumeName::new("prod-pvc-1").expect("valid");
            let volume = VolumeId { name, id: "v1".to_owned() };
            let (array, array_id) = ((*array).to_owned(), "id".to_owned());
            let id = NodeId { node: (*node).to_owned(), ..NodeId::default() };
            let on_array = hosts.entry(array.clone()).or_default();
            on_array.insert((*node).to_owned(), (BackingVolume { array, array_id, volume }, id));
        }
        hosts
    }

    /// Starts the checks, and waits until all have ended but those of a silent array.
    async fn check(checks: &mut PasswordChecks, arrays: &Arc<FakeArrays>, of: &[(&str, &str)]) {
        checks.start(arrays, "test", hosts(of));
        let waits = usize::from(of.iter().any(|(array, _)| *array == arrays.silent));
        while checks.tasks.len() > waits {
            let ended = tokio::time::timeout(Duration::from_secs(60), checks.tasks.join_next());
            ended.await.expect("a check waits for another array");
        }
    }

    fn write(folder: &tempfile::TempDir, node: &str, text: &str) {
        std::fs::write(folder.path().join(node), text).expect("written");
    }

    #[tokio::test]
    async fn an_array_gets_a_password_when_it_is_another_one_and_until_it_takes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder, "n1", "correct-horse-1");
        write(&folder, "n2", "correct-horse-2");
        let arrays = FakeArrays::new(folder.path(), "");
        let mut checks = PasswordChecks::default();
        // An array without passwords, and a node without a key, keep the others from nothing.
        let all = [("fa0", "n1"), ("fa1", "n0"), ("fa1", "n1"), ("fa1", "n2")];
        check(&mut checks, &arrays, &all).await;
        assert_eq!(arrays.got(), ["fa1 n1 correct-horse-1", "fa1 n2 correct-horse-2"]);
        check(&mut checks, &arrays, &all).await;
        assert_eq!(arrays.got(), Vec::<String>::new());
        write(&folder, "n1", "rotated-horse-1");
        arrays.refuse(Some(("fa1", "Refused")));
        check(&mut checks, &arrays, &all).await;
        assert_eq!(arrays.got(), ["fa1 n1 rotated-horse-1"]);
        arrays.refuse(None);
        for expected in [vec!["fa1 n1 rotated-horse-1"], vec![]] {
            check(&mut checks, &arrays, &all).await;
            assert_eq!(arrays.got(), expected);
        }
        // An attachment to n2 is under way: what it sets is unknown.
        check(&mut checks, &arrays, &all[..3]).await;
        assert_eq!(arrays.got(), Vec::<String>::new());
        check(&mut checks, &arrays, &all).await;
        assert_eq!(arrays.got(), ["fa1 n2 correct-horse-2"]);
    }

    #[tokio::test]
    async fn an_array_that_is_silent_delays_no_other_and_no_end() {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder, "n1", "correct-horse-1");
        let arrays = FakeArrays::new(folder.path(), "fa1");
        let mut checks = PasswordChecks::default();
        let all = [("fa1", "n1"), ("fa2", "n1")];
        check(&mut checks, &arrays, &all).await;
        while arrays.got.lock().expect("free").len() < 2 {
            tokio::task::yield_now().await;
        }
        let mut got = arrays.got();
        got.sort();
        assert_eq!(got, ["fa1 n1 correct-horse-1", "fa2 n1 correct-horse-1"]);
        write(&folder, "n1", "rotated-horse-1");
        check(&mut checks, &arrays, &all).await;
        assert_eq!(arrays.got(), ["fa2 n1 rotated-horse-1"], "each has one check at a time");
        assert!(!checks.end().await, "the request to the silent array is cut off");
        assert!(checks.end().await, "nothing is left");
        arrays.answers.add_permits(1);
        checks.start(&arrays, "test", hosts(&all));
        while checks.tasks.join_next().await.is_some() {}
        assert_eq!(arrays.got(), ["fa1 n1 rotated-horse-1"], "the next one goes on");
    }

    #[tokio::test]
    async fn an_array_that_is_away_is_asked_once_in_a_check() {
        let folder = tempfile::tempdir().expect("a folder");
        for node in ["n1", "n2", "n3"] {
            write(&folder, node, "correct-horse-1");
        }
        let arrays = FakeArrays::new(folder.path(), "");
        let mut checks = PasswordChecks::default();
        let all = [("fa1", "n1"), ("fa1", "n2"), ("fa1", "n3")];
        for (reason, requests) in [("Unreachable", 1), ("UnknownOutcome", 1), ("NotFound", 3)] {
            arrays.refuse(Some(("fa1", reason)));
            check(&mut checks, &arrays, &all).await;
            assert_eq!(arrays.got().len(), requests, "{reason}");
        }
        arrays.refuse(None);
        check(&mut checks, &arrays, &all).await;
        assert_eq!(arrays.got().len(), 3);
    }

    /// The attachment has read the password before the check, and its request arrives last.
    #[tokio::test]
    async fn an_attachment_during_a_check_is_followed_by_another_request() {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder, "n1", "correct-horse-1");
        let arrays = FakeArrays::new(folder.path(), "fa1");
        let mut checks = PasswordChecks::default();
        let all = [("fa1", "n1")];
        checks.start(&arrays, "test", hosts(&all));
        while arrays.got.lock().expect("free").is_empty() {
            tokio::task::yield_now().await;
        }
        checks.forget("fa1", "n1");
        checks.forget("fa1", "n1");
        for expected in [1, 1, 0] {
            arrays.answers.add_permits(1);
            while checks.tasks.join_next().await.is_some() {}
            assert_eq!(arrays.got().len(), expected);
            checks.start(&arrays, "test", hosts(&all));
        }
    }
}
