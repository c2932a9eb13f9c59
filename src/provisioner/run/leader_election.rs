//! Elects a leader among replicas by a Lease that the leader renews, by the rules of client-go's leader election
//! (`k8s.io/client-go/tools/leaderelection`).
//!
//! Clocks of different machines are never compared: the lease of another replica has expired when this process has seen
//! no change in it for the duration that the lease states.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tracing::{debug, info, warn};

use super::http::Status;
use super::unreachable::cause;
use crate::arrays::{Fence, Fenced};
use crate::provisioner::decide::ReadTime;

/// The duration of a lease after its renewal.
const LASTS: Duration = Duration::from_secs(15);
/// The time after the last renewal at which the holder stops, well before another replica may start.
const GIVES_UP: Duration = Duration::from_secs(10);
/// The interval of reads and renewals.
const LOOK: Duration = Duration::from_secs(2);

/// Whether this process leads; effects that destroy something check it at the last moment.
///
/// A process leads at most once: when its lease has expired, the process ends. A decision is therefore valid for the
/// whole time that the process leads.
#[derive(Debug, Clone)]
pub(super) struct Leadership {
    began: Instant,
    /// A number that distinguishes this process from all others before and after.
    term: u64,
    /// Milliseconds after `began` until which the lease is valid.
    until: Arc<AtomicU64>,
    /// The same by the wall clock, since 1970: the steady clock of a virtual machine stops while the machine is paused.
    until_wall: Arc<AtomicU64>,
}

impl Leadership {
    fn new(term: u64) -> Self {
        let (until, until_wall) = (Arc::default(), Arc::default());
        Self { began: Instant::now(), term, until, until_wall }
    }

    /// Returns the leadership of a process that runs alone, without a lease.
    pub(super) fn alone() -> Self {
        let for_ever = || Arc::new(AtomicU64::new(u64::MAX));
        let (until, until_wall) = (for_ever(), for_ever());
        Self { began: Instant::now(), term: fastrand::u64(1..), until, until_wall }
    }

    /// Returns the time, by the clocks of this process.
    pub(super) fn now(&self) -> ReadTime {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ReadTime { steady: self.began.elapsed(), wall }
    }

    /// Returns the number that distinguishes this process from all others.
    pub(super) fn term(&self) -> u64 {
        self.term
    }

    /// Returns whether the process leads now, by its own clocks.
    pub(super) fn leads(&self) -> bool {
        let ReadTime { steady, wall } = self.now();
        let is_before =
            |now: Duration, until: &AtomicU64| millis(now) < until.load(Ordering::Acquire);
        is_before(steady, &self.until) && is_before(wall, &self.until_wall)
    }

    fn renewed(&self, at: ReadTime) {
        self.until.store(millis(at.steady + GIVES_UP), Ordering::Release);
        self.until_wall.store(millis(at.wall + GIVES_UP), Ordering::Release);
    }

    /// Returns the condition that blocks requests when this process does not lead any more, or when a decision to
    /// destroy is based on a read at `read` that is too old.
    pub(super) fn fence(&self, read: Option<ReadTime>) -> Arc<dyn Fence> {
        Arc::new(Decided { leadership: self.clone(), read })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A decision of this process, and the time of the read on which it is based.
#[derive(Debug)]
struct Decided {
    leadership: Leadership,
    read: Option<ReadTime>,
}

impl Fence for Decided {
    fn check(&self) -> Result<(), Fenced> {
        if !self.leadership.leads() {
            return Err(Fenced::NotLeading);
        }
        let now = self.leadership.now();
        if self.read.is_some_and(|read| !now.allows(read)) {
            return Err(Fenced::Expired);
        }
        Ok(())
    }
}

/// A candidate for the lease.
#[derive(Debug)]
pub(super) struct Candidate {
    leases: Api<Lease>,
    name: String,
    me: String,
    leadership: Leadership,
    observed: Option<ObservedLease>,
    status: Status,
    /// Whether the last request for the lease failed.
    troubled: bool,
}

/// The lease as it was last seen, and the time since when it has not changed.
#[derive(Debug, Clone, PartialEq)]
struct ObservedLease {
    lease: Lease,
    since: Instant,
}

/// The next action on a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseAction {
    Take,
    Renew,
    Wait,
}

impl Candidate {
    /// Returns a candidate for the lease with a name. It uses a client of its own, so that no other traffic delays it.
    pub(super) fn new(client: Client, namespace: &str, name: &str, status: Status) -> Self {
        let term = fastrand::u64(1..);
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "pso-gen".to_owned());
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            me: format!("{host}_{term:016x}"),
            leadership: Leadership::new(term),
            observed: None,
            status,
            troubled: false,
        }
    }

    /// Waits until this process leads.
    pub(super) async fn wait(&mut self) -> Leadership {
        let mut logged_holder = None;
        while !self.renew_or_take().await {
            if let Some(holder) = self.holder().map(str::to_owned) {
                self.status.waits();
                if logged_holder.as_ref() != Some(&holder) {
                    info!(me = self.me, lease = self.name, holder, "waiting to lead");
                    logged_holder = Some(holder);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        info!(me = self.me, lease = self.name, "leading");
        self.leadership.clone()
    }

    /// Renews the lease until it is lost.
    pub(super) async fn hold(&mut self) {
        while self.leadership.leads() {
            tokio::time::sleep(LOOK).await;
            // A request that hangs must not outlast the lease.
            let _ = tokio::time::timeout(GIVES_UP / 2, self.renew_or_take()).await;
        }
        warn!(me = self.me, lease = self.name, "the lease is lost");
    }

    /// Releases the lease, so that the next leader need not wait.
    pub(super) async fn release(&mut self) {
        let Some(ObservedLease { mut lease, .. }) = self.observed.clone() else { return };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() == Some(&self.me) {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            let _ = self.leases.replace(&self.name, &PostParams::default(), &lease).await;
        }
    }

    /// Reads the lease once, and acquires or renews it. Returns whether this process holds it then.
    async fn renew_or_take(&mut self) -> bool {
        let (start, asked) = (Instant::now(), self.leadership.now());
        match self.leases.get_opt(&self.name).await {
            Ok(Some(lease)) => self.observe(lease, start),
            Ok(None) => self.observed = None,
            Err(error) => {
                self.log_error(&error, "lease not read");
                return false;
            }
        }
        if std::mem::take(&mut self.troubled) {
            info!(lease = self.name, "lease read again");
        }
        let spec = match decide(self.observed.as_ref(), &self.me, start) {
            LeaseAction::Wait => return false,
            LeaseAction::Take => self.taken(),
            LeaseAction::Renew => self.renewed(),
        };
        let post = PostParams::default();
        let written = if let Some(ObservedLease { lease, .. }) = &self.observed {
            let lease = Lease { metadata: lease.metadata.clone(), spec: Some(spec) };
            self.leases.replace(&self.name, &post, &lease).await
        } else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            self.leases.create(&post, &Lease { metadata, spec: Some(spec) }).await
        };
        match written {
            Ok(lease) => {
                self.observe(lease, start);
                // The time before the request: for other replicas, the lease is at least as old as for this one.
                self.leadership.renewed(asked);
                true
            }
            Err(error) => {
                self.log_error(&error, "lease not written");
                false
            }
        }
    }

    /// Logs once that requests for the lease fail: they are repeated every two seconds.
    fn log_error(&mut self, error: &kube::Error, what: &str) {
        let error = cause(error);
        if std::mem::replace(&mut self.troubled, true) {
            debug!(%error, lease = self.name, "{what}");
        } else {
            warn!(%error, lease = self.name, "{what}");
        }
    }

    /// Returns the holder of the lease, as last seen.
    fn holder(&self) -> Option<&str> {
        holder(&self.observed.as_ref()?.lease)
    }

    fn observe(&mut self, lease: Lease, now: Instant) {
        if self.observed.as_ref().is_some_and(|observed| holder(&observed.lease) != holder(&lease))
        {
            self.status.metrics().lease_changed();
        }
        if self.observed.as_ref().is_none_or(|observed| observed.lease.spec != lease.spec) {
            self.observed = Some(ObservedLease { lease, since: now });
        } else if let Some(observed) = &mut self.observed {
            // Only its version may be newer.
            observed.lease = lease;
        }
    }

    fn taken(&self) -> LeaseSpec {
        let before = self.observed.as_ref().and_then(|observed| observed.lease.spec.as_ref());
        let transitions = before.and_then(|spec| spec.lease_transitions).map_or(0, |n| n + 1);
        LeaseSpec {
            acquire_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: Some(transitions),
            ..self.renewed()
        }
    }

    fn renewed(&self) -> LeaseSpec {
        let before = self
            .observed
            .as_ref()
            .and_then(|observed| observed.lease.spec.clone())
            .unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..before
        }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

fn decide(observed: Option<&ObservedLease>, me: &str, now: Instant) -> LeaseAction {
    let Some(ObservedLease { lease, since }) = observed else { return LeaseAction::Take };
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let lasts = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
    let lasts = Duration::from_secs(u64::try_from(lasts).unwrap_or_default());
    if holder == me {
        LeaseAction::Renew
    } else if holder.is_empty() || now.duration_since(*since) > lasts {
        LeaseAction::Take
    } else {
        LeaseAction::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(holder: &str, since: Instant) -> ObservedLease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        ObservedLease { lease: Lease { spec: Some(spec), ..Lease::default() }, since }
    }

    #[test]
    fn a_rivals_lease_counts_for_as_long_as_it_was_seen_to_change() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(decide(None, "me", start), LeaseAction::Take);
        assert_eq!(decide(Some(&observed("me", start)), "me", after(3)), LeaseAction::Renew);
        assert_eq!(decide(Some(&observed("rival", start)), "me", after(15)), LeaseAction::Wait);
        assert_eq!(decide(Some(&observed("rival", start)), "me", after(16)), LeaseAction::Take);
        assert_eq!(decide(Some(&observed("", start)), "me", after(1)), LeaseAction::Take);
    }

    #[test]
    fn a_leader_stops_before_anybody_else_may_begin() {
        assert!(GIVES_UP < LASTS);
        let leadership = Leadership::new(1);
        assert!(!leadership.leads());
        let now = leadership.now();
        leadership.renewed(now);
        assert!(leadership.leads());
        leadership.until.store(0, Ordering::Release);
        assert!(!leadership.leads());
        leadership.renewed(now);
        leadership.until_wall.store(0, Ordering::Release);
        assert!(!leadership.leads(), "its machine stood still");
        assert!(Leadership::alone().leads());
    }

    #[test]
    fn a_request_is_held_back_when_its_decision_is_old_or_another_process_leads() {
        let leadership = Leadership::new(1);
        let now = leadership.now();
        leadership.renewed(now);
        let long_ago =
            ReadTime { wall: now.wall.saturating_sub(crate::provisioner::decide::VALID), ..now };
        for (read, expected) in
            [(None, Ok(())), (Some(now), Ok(())), (Some(long_ago), Err(Fenced::Expired))]
        {
            assert_eq!(leadership.fence(read).check(), expected);
        }
        leadership.until.store(0, Ordering::Release);
        for read in [None, Some(now), Some(long_ago)] {
            assert_eq!(leadership.fence(read).check(), Err(Fenced::NotLeading));
        }
    }
}
