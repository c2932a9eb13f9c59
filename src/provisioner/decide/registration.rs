//! Decides a cluster's registration on an array: which cluster owns a name there, and which process leads that cluster.
//!
//! Names of volumes start with the cluster's name, and two clusters may get one name by mistake: from a copied
//! document, a restored backup or a restored etcd. So each array has one more object, named `CLUSTER-is-IDENTITY-TERM`.
//! The identity is the start of the UID of the namespace `kube-system`; the term identifies the process that leads.
//! Another identity means another cluster, and the provisioner does nothing on that array. The same identity with
//! another term means a former leader, or a copy of this cluster that runs at the same time: the provisioner takes the
//! term over, and destroys nothing until it has kept the term for [`GRACE`]. A live leader takes its term back within
//! [`LOOK`], so that neither of two concurrent leaders ever destroys anything.
//!
//! Pure: callers pass the objects on the array, and execute the steps.

use std::time::Duration;

use super::read_time::ReadTime;
use crate::contract::{Volume, VolumeId, VolumeName};

/// The interval at which a leader checks its registrations.
pub const LOOK: Duration = Duration::from_secs(10);
/// The time that a process must have kept its term before it destroys anything, unless no other process led before.
pub const GRACE: Duration = Duration::from_secs(30);

/// The number of digits of an identity and of a term.
const DIGITS: usize = 16;
/// The term of a registration whose leader has ended.
const ENDED: &str = "0000000000000000";

/// One registration of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The cluster: 16 hexadecimal digits.
    pub identity: String,
    /// The process: 16 hexadecimal digits.
    pub term: String,
}

impl Registration {
    /// Returns the registration of a process. `uid` is the UID of the namespace `kube-system`; none if Kubernetes
    /// creates no such UID.
    pub fn new(uid: &str, term: u64) -> Option<Self> {
        // A term of zeros belongs to no process.
        let term = format!("{:016x}", term.max(1));
        Some(Self { identity: identity(uid)?, term })
    }

    /// Returns the prefix of the names of all registrations under a cluster's name.
    pub fn prefix(cluster: &str) -> String {
        format!("{cluster}-is-")
    }

    /// Returns the name of the object on an array; none if arrays reject the cluster's name.
    pub fn name(&self, cluster: &str) -> Option<VolumeName> {
        VolumeName::new(format!("{}{}-{}", Self::prefix(cluster), self.identity, self.term))
    }

    /// Parses the name of an object.
    pub fn parse(cluster: &str, name: &str) -> Option<Self> {
        let prefix = Self::prefix(cluster);
        // Arrays preserve the case of names, and compare names without it.
        let rest = name.get(prefix.len()..)?.to_ascii_lowercase();
        let prefixed = name.get(..prefix.len())?.eq_ignore_ascii_case(&prefix);
        let (identity, term) = rest.split_once('-').filter(|_| prefixed)?;
        let is_good =
            |word: &str| word.len() == DIGITS && word.chars().all(|c| c.is_ascii_hexdigit());
        (is_good(identity) && is_good(term))
            .then(|| Self { identity: identity.to_owned(), term: term.to_owned() })
    }

    /// Returns the same registration after its process has ended.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self { identity: self.identity.clone(), term: ENDED.to_owned() }
    }

    /// Returns whether the registered process has ended.
    pub fn is_ended(&self) -> bool {
        self.term == ENDED
    }
}

/// Returns a cluster's identity: the start of the UID of its namespace `kube-system`.
pub fn identity(uid: &str) -> Option<String> {
    let digits: String = uid.chars().filter(|c| *c != '-').take(DIGITS).collect();
    let good = digits.len() == DIGITS && digits.chars().all(|c| c.is_ascii_hexdigit());
    good.then(|| digits.to_ascii_lowercase())
}

/// A step that changes the registration on an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationStep {
    /// Create the object of this name.
    Create(VolumeName),
    /// Rename the object; fails if it has another name by now.
    Rename {
        /// Its name.
        from: VolumeName,
        /// Its new name.
        to: VolumeName,
    },
    /// Remove one of several registrations of this cluster.
    Remove(VolumeId),
}

/// The reason why nothing may be destroyed on an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYet {
    /// One word, of a closed list. `Registering` ends by itself within [`GRACE`].
    pub reason: &'static str,
    /// Text for events and logs.
    pub why: String,
}

/// One process's registration on one array.
#[derive(Debug, Clone)]
pub struct ClusterRegistration {
    cluster: String,
    me: Registration,
    /// Identities of clusters that are gone for good, whose registrations are taken over.
    takes_over: Vec<String>,
    state: State,
    /// The number of times that another process took the registration from this one.
    lost: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The registration does not belong to this process.
    Sought,
    /// A step is being taken that makes it belong to this process. The array has not shown the result yet.
    Registering {
        /// Whether no other process may believe that the registration belongs to it.
        alone: bool,
        /// Whether the registration belonged to this process before.
        again: bool,
    },
    /// It has belonged to this process since then, and another process may not know that yet.
    Young(ReadTime),
    /// It belongs to this process, and every other process knows that.
    Held,
}

impl ClusterRegistration {
    /// Returns the registration of a process that has not checked the array yet.
    pub fn new(cluster: &str, me: Registration, takes_over: Vec<String>) -> Self {
        let cluster = cluster.to_owned();
        Self { cluster, me, takes_over, state: State::Sought, lost: 0 }
    }

    /// Processes the objects that are on the array now, and returns the next step; check again after it. An error is
    /// the reason why nothing may be done on this array.
    pub fn look(
        &mut self,
        there: &[Volume],
        now: ReadTime,
    ) -> Result<Option<RegistrationStep>, String> {
        let all = match self.read(there) {
            Ok(all) => all,
            Err(other) => {
                self.state = State::Sought;
                return Err(other);
            }
        };
        let Some(own) = self.me.name(&self.cluster) else {
            return Err(format!("the name of the cluster, {}, is too long", self.cluster));
        };
        let (mine, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(registration, _)| *registration == self.me);
        if !mine.is_empty() && others.is_empty() {
            match self.state {
                State::Registering { alone: true, .. } => self.state = State::Held,
                // `Sought`: this process created it, and the answer to its request came late or not at all.
                State::Sought | State::Registering { .. } => self.state = State::Young(now),
                State::Young(since) if now.since(since) >= GRACE => self.state = State::Held,
                State::Young(_) | State::Held => {}
            }
            return Ok(None);
        }
        let had_it = matches!(self.state, State::Young(_) | State::Held);
        if self.state == State::Held || (mine.is_empty() && had_it) {
            self.lost += 1;
        }
        let led = others.iter().any(|(registration, _)| !registration.is_ended());
        let surplus = mine.len() + others.len() > 1;
        let again = self.is_registered();
        self.state = State::Registering { alone: !(led || surplus || again), again };
        Ok(Some(match others.into_iter().next() {
            None => RegistrationStep::Create(own),
            Some((_, volume)) if surplus => RegistrationStep::Remove(volume),
            Some((_, volume)) => RegistrationStep::Rename { from: volume.name, to: own },
        }))
    }

    /// Records that a step failed, or that its outcome is unknown. Without a step nothing changes.
    pub fn failed(&mut self) {
        if matches!(self.state, State::Registering { .. }) {
            self.state = State::Sought;
        }
    }

    /// Fails if nothing may be destroyed on an array that has these objects now.
    pub fn check(&self, there: &[Volume], now: ReadTime) -> Result<(), NotYet> {
        let not_registered = |why| NotYet { reason: "NotRegistered", why };
        let registering = |why| NotYet { reason: "Registering", why };
        let all = self.read(there).map_err(not_registered)?;
        let identity = &self.me.identity;
        let since = match self.state {
            State::Sought => {
                return Err(not_registered(format!(
                    "cluster {identity} is not registered on this array"
                )));
            }
            State::Registering { .. } => {
                return Err(registering(format!(
                    "cluster {identity} is being registered on this array"
                )));
            }
            State::Young(since) => Some(since),
            State::Held => None,
        };
        if all.is_empty() {
            return Err(not_registered(format!(
                "the registration of cluster {identity} has been removed from this array"
            )));
        }
        if all.len() != 1 || all[0].0 != self.me {
            return Err(not_registered(format!(
                "another provisioner of cluster {identity} has registered on this array meanwhile"
            )));
        }
        match since {
            Some(since) if now.since(since) < GRACE => Err(registering(format!(
                "the registration of cluster {identity} on this array is younger than {} s: another provisioner may not know of it yet",
                GRACE.as_secs()
            ))),
            _ => Ok(()),
        }
    }

    /// Returns whether this cluster is registered, so that volumes may be created.
    pub fn is_registered(&self) -> bool {
        match self.state {
            State::Sought => false,
            State::Registering { again, .. } => again,
            State::Young(_) | State::Held => true,
        }
    }

    /// Returns how often another process took the registration from this one: the sign of a second cluster with the
    /// same identity.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Returns the old and the new name of the object when the process ends; none if it is not registered.
    pub fn ending(&self) -> Option<(VolumeName, VolumeName)> {
        let names = (self.me.name(&self.cluster), self.me.ended().name(&self.cluster));
        self.is_registered().then(|| names.0.zip(names.1)).flatten()
    }

    /// Returns the identity of this cluster, and of those that it takes over.
    pub fn identities(&self) -> Vec<String> {
        let own = std::iter::once(&self.me.identity);
        own.chain(self.takes_over.iter()).cloned().collect()
    }

    /// Returns the registrations of this cluster; an error if another cluster has the name.
    fn read(&self, there: &[Volume]) -> Result<Vec<(Registration, VolumeId)>, String> {
        let alive = there.iter().filter(|volume| !volume.destroyed);
        let all: Vec<_> = alive
            .filter_map(|volume| {
                let registration = Registration::parse(&self.cluster, &volume.name)?;
                Some((registration, volume.volume_id()?))
            })
            .collect();
        let is_ours =
            |identity: &String| *identity == self.me.identity || self.takes_over.contains(identity);
        match all.iter().find(|(registration, _)| !is_ours(&registration.identity)) {
            None => Ok(all),
            Some((other, _)) => Err(taken(&self.cluster, &other.identity, &self.me.identity)),
        }
    }
}

/// Returns the text that another cluster has the name, with the remedy.
pub fn taken(cluster: &str, other: &str, own: &str) -> String {
    format!(
        "the cluster name {cluster} is registered on this array by cluster {other}, and this is cluster {own}: \
         give this one another name; or, when {other} is gone for good, write `takeOver: [\"{other}\"]` into the storage document"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "3f2a9c1e-7b4d-4e1a-9c55-70867728950e";

    fn at(seconds: u64) -> ReadTime {
        let since = Duration::from_secs(seconds);
        ReadTime { steady: since, wall: since }
    }

    fn me(term: u64) -> Registration {
        Registration::new(UID, term).expect("an identity")
    }

    fn tenure(term: u64) -> ClusterRegistration {
        ClusterRegistration::new("prod", me(term), Vec::new())
    }

    /// The objects on an array.
    #[derive(Default)]
    struct Shelf(Vec<Volume>, u32);

    impl Shelf {
        fn put(&mut self, name: &str) {
            self.1 += 1;
            self.0.push(Volume {
                name: name.to_owned(),
                id: format!("id-{}", self.1),
                size: 1,
                destroyed: false,
                created: None,
                ..Volume::default()
            });
        }

        fn take(&mut self, step: Option<RegistrationStep>) {
            match step {
                Some(RegistrationStep::Create(name)) => self.put(name.as_str()),
                Some(RegistrationStep::Rename { from, to }) => {
                    let there = self.0.iter_mut().find(|volume| from.is(&volume.name));
                    there.expect("the old name").name = to.to_string();
                }
                Some(RegistrationStep::Remove(volume)) => {
                    self.0.retain(|each| each.id != volume.id);
                }
                None => {}
            }
        }

        /// Takes all steps of one check.
        fn look(&mut self, tenure: &mut ClusterRegistration, seconds: u64) {
            while let Some(step) = tenure.look(&self.0, at(seconds)).expect("ours") {
                self.take(Some(step));
            }
        }
    }

    #[test]
    fn the_longest_cluster_fits() {
        let cluster = "c".repeat(22);
        let name = me(u64::MAX).name(&cluster).expect("a name");
        assert_eq!(Registration::parse(&cluster, name.as_str()), Some(me(u64::MAX)));
        assert_eq!(
            Registration::parse(&cluster, &name.as_str().to_uppercase()),
            Some(me(u64::MAX))
        );
        assert_eq!(me(0).term, "0000000000000001");
        for odd in
            ["prod-is-", "prod-is-3f2a9c1e7b4d4e1a", "prod-is-x-y", "prod-pvc-1", "p", "prod-is-ä"]
        {
            assert_eq!(Registration::parse("prod", odd), None, "{odd}");
        }
        for odd in ["", "3f2a", "zzzzzzzz-7b4d-4e1a-9c55-70867728950e"] {
            assert_eq!(identity(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_first_of_a_name_may_destroy_at_once() {
        let (mut shelf, mut tenure) = (Shelf::default(), tenure(7));
        assert!(tenure.check(&shelf.0, at(0)).is_err() && !tenure.is_registered());
        shelf.look(&mut tenure, 0);
        assert_eq!(shelf.0[0].name, "prod-is-3f2a9c1e7b4d4e1a-0000000000000007");
        assert_eq!(tenure.check(&shelf.0, at(0)), Ok(()));
        assert!(tenure.is_registered());
        // A registration that was removed is created again, with the full delay.
        shelf.0.clear();
        assert!(tenure.check(&shelf.0, at(1)).is_err());
        shelf.look(&mut tenure, 1);
        assert!(tenure.check(&shelf.0, at(2)).is_err());
        shelf.look(&mut tenure, 31);
        assert_eq!(tenure.check(&shelf.0, at(31)), Ok(()));
    }

    #[test]
    fn no_volume_is_created_before_the_array_shows_the_registration() {
        let (mut shelf, mut tenure) = (Shelf::default(), tenure(7));
        let step = tenure.look(&shelf.0, at(0)).expect("ours");
        assert!(step.is_some() && !tenure.is_registered(), "the array has not created it yet");
        let why = tenure.check(&shelf.0, at(1)).expect_err("not registered");
        assert_eq!(why.reason, "Registering");
        assert!(why.why.contains("is being registered"), "{}", why.why);
        // The array rejected the request, and accepts it at the next check.
        tenure.failed();
        assert!(!tenure.is_registered());
        let why = tenure.check(&shelf.0, at(2)).expect_err("not registered");
        assert!(why.why.contains("is not registered on this array"), "{}", why.why);
        shelf.look(&mut tenure, 10);
        assert!(tenure.is_registered());
        assert_eq!(tenure.check(&shelf.0, at(10)), Ok(()));
        // A list that fails is no step: the process keeps what it has.
        tenure.failed();
        assert_eq!(tenure.check(&shelf.0, at(11)), Ok(()));
        shelf.0.clear();
        let why = tenure.check(&shelf.0, at(12)).expect_err("removed");
        assert!(why.why.contains("has been removed"), "{}", why.why);
    }

    #[test]
    fn a_registration_whose_answer_was_lost_waits_like_one_of_another_process() {
        let (mut shelf, mut tenure) = (Shelf::default(), tenure(7));
        let step = tenure.look(&shelf.0, at(0)).expect("ours");
        shelf.take(step);
        tenure.failed();
        shelf.look(&mut tenure, 10);
        assert!(tenure.is_registered());
        assert!(tenure.check(&shelf.0, at(39)).is_err());
        assert_eq!(tenure.check(&shelf.0, at(40)), Ok(()));
    }

    #[test]
    fn the_next_leader_waits_for_the_former_one_unless_that_has_ended() {
        let (mut shelf, mut first, mut next) = (Shelf::default(), tenure(1), tenure(2));
        shelf.look(&mut first, 0);
        shelf.look(&mut next, 10);
        assert!(next.is_registered(), "it may make volumes");
        assert!(next.check(&shelf.0, at(39)).is_err(), "the former one may believe that it leads");
        assert_eq!(next.check(&shelf.0, at(40)), Ok(()));
        assert!(first.check(&shelf.0, at(10)).is_err(), "a former leader destroys nothing");
        let (from, to) = next.ending().expect("registered");
        shelf.take(Some(RegistrationStep::Rename { from, to }));
        let mut third = tenure(3);
        shelf.look(&mut third, 50);
        assert_eq!(third.check(&shelf.0, at(50)), Ok(()));
        assert_eq!(shelf.0.len(), 1);
    }

    #[test]
    fn of_two_with_one_identity_neither_destroys_anything() {
        let (mut shelf, mut one, mut copy) = (Shelf::default(), tenure(1), tenure(2));
        shelf.look(&mut one, 0);
        assert_eq!(one.check(&shelf.0, at(9)), Ok(()));
        for round in 1..20 {
            shelf.look(&mut copy, round * 10);
            assert!(one.check(&shelf.0, at(round * 10 + 5)).is_err(), "{round}");
            assert!(copy.check(&shelf.0, at(round * 10 + 5)).is_err(), "{round}");
            shelf.look(&mut one, round * 10 + 6);
            assert!(one.check(&shelf.0, at(round * 10 + 6)).is_err(), "{round}");
            assert!(copy.check(&shelf.0, at(round * 10 + 6)).is_err(), "{round}");
        }
        assert!(one.lost() > 10 && copy.lost() > 10);
        // The copy ends: the original continues.
        shelf.look(&mut one, 230);
        shelf.look(&mut one, 260);
        assert_eq!(one.check(&shelf.0, at(260)), Ok(()));
    }

    #[test]
    fn another_cluster_of_the_name_is_refused_until_it_is_taken_over() {
        let mut shelf = Shelf::default();
        shelf.put("prod-is-aaaaaaaaaaaaaaaa-0000000000000001");
        let mut tenure = tenure(2);
        let why = tenure.look(&shelf.0, at(0)).expect_err("another cluster");
        assert!(why.contains("by cluster aaaaaaaaaaaaaaaa") && why.contains("takeOver"), "{why}");
        assert!(tenure.check(&shelf.0, at(99)).is_err() && !tenure.is_registered());
        let mut heir = ClusterRegistration::new("prod", me(2), vec!["aaaaaaaaaaaaaaaa".to_owned()]);
        shelf.look(&mut heir, 0);
        assert_eq!(shelf.0[0].name, "prod-is-3f2a9c1e7b4d4e1a-0000000000000002");
        assert!(heir.check(&shelf.0, at(29)).is_err(), "that cluster may live after all");
        assert_eq!(heir.check(&shelf.0, at(30)), Ok(()));
        assert_eq!(heir.identities(), ["3f2a9c1e7b4d4e1a", "aaaaaaaaaaaaaaaa"]);
        // Destroyed objects and objects with other names do not count.
        let mut shelf = Shelf::default();
        shelf.put("prod-is-aaaaaaaaaaaaaaaa-0000000000000001");
        shelf.0[0].destroyed = true;
        shelf.put("prod2-is-aaaaaaaaaaaaaaaa-0000000000000001");
        shelf.look(&mut tenure, 0);
        assert_eq!(shelf.0.len(), 3);
        assert_eq!(tenure.check(&shelf.0, at(0)), Ok(()));
    }

    #[test]
    fn two_that_were_first_at_once_become_one() {
        let (mut shelf, mut one, mut other) = (Shelf::default(), tenure(1), tenure(2));
        let steps =
            [&mut one, &mut other].map(|tenure| tenure.look(&shelf.0, at(0)).expect("ours"));
        for step in steps {
            shelf.take(step);
        }
        assert_eq!(shelf.0.len(), 2);
        for tenure in [&one, &other] {
            assert!(tenure.check(&shelf.0, at(1)).is_err(), "which of them it is, is open");
        }
        shelf.look(&mut one, 10);
        assert_eq!(shelf.0.len(), 1);
        assert!(one.check(&shelf.0, at(11)).is_err());
        for seconds in [20, 30, 40] {
            shelf.look(&mut one, seconds);
        }
        assert_eq!(one.check(&shelf.0, at(40)), Ok(()));
        assert!(other.check(&shelf.0, at(40)).is_err());
    }
}
