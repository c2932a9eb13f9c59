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
    let is_valid = digits.len() == DIGITS && digits.chars().all(|c| c.is_ascii_hexdigit());
    is_valid.then(|| digits.to_ascii_lowercase())
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
    pub fn next_step(
        &mut self,
        volumes: &[Volume],
        now: ReadTime,
    ) -> Result<Option<RegistrationStep>, String> {
        let all = match self.read(volumes) {
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
    pub fn check(&self, volumes: &[Volume], now: ReadTime) -> Result<(), NotYet> {
        let not_registered = |why| NotYet { reason: "NotRegistered", why };
        let registering = |why| NotYet { reason: "Registering", why };
        let all = self.read(volumes).map_err(not_registered)?;
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
    fn read(&self, volumes: &[Volume]) -> Result<Vec<(Registration, VolumeId)>, String> {
        let alive = volumes.iter().filter(|volume| !volume.destroyed);
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
mod tests;
