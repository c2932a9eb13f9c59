//! The end of the connections to an array, when no volume of it is left on this node.
//!
//! Over iSCSI, all sessions to the target end, and the records of its portals go. Over NVMe/TCP, only the controllers that the
//! node service has recorded as connected by itself are disconnected. There, the namespaces of volumes that have left stay until the array
//! disconnects them, which is after they were unstaged: when several leave together, the controllers are looked at again later.

use std::collections::BTreeSet;
use std::time::Duration;

use super::effect::{Effect, HostError, Outcome, Procedure, Step};
use super::view::{Connection, Disk, HostQuery, HostView, Session};
use crate::contract::BlockTransport;
use crate::node::request::{NodeError, NodeErrorKind};

/// What has been done for the end of the connections to an array.
#[derive(Debug, Default)]
pub(super) struct Leave {
    /// Ports that were logged out, and those whose record was removed.
    left: BTreeSet<String>,
    forgotten: BTreeSet<String>,
}

impl Leave {
    /// Returns the next step; none if connections and records are gone, or have to stay. `portals` have a record of
    /// iscsid, and `own` are the disks of the volume that leaves.
    pub(super) fn next(
        &self,
        view: &HostView,
        transport: BlockTransport,
        (target, portals): (&str, &[String]),
        own: &[&Disk],
    ) -> Option<Step> {
        let is_last = |session: &Session| {
            let own =
                own.iter().filter(|disk| disk.address.map(|at| at.bus) == session.bus).count();
            session.disks <= own
        };
        let is_shared = view.others.iter().any(|other| other.target == target && !other.released);
        if is_shared || !view.sessions.iter().all(is_last) {
            return None;
        }
        let recorded = match transport {
            BlockTransport::Iscsi => portals,
            BlockTransport::NvmeTcp => &own_ports(&view.recorded, |_| true),
            BlockTransport::FibreChannel => return None,
        };
        // An admin, or the host at its boot, may have connected to the same array over NVMe/TCP.
        let connected = own_ports(&view.recorded, |own| own.connected);
        let is_own = |session: &&Session| {
            transport == BlockTransport::Iscsi || connected.contains(&session.portal)
        };
        let target = target.to_owned();
        let mut sessions = view.sessions.iter().filter(is_own).peekable();
        let first = sessions.peek().copied();
        if let Some(session) = sessions.find(|session| !self.left.contains(&session.portal)) {
            let (portal, session) = (session.portal.clone(), session.name.clone());
            return Some(Step::Do(Effect::LogOut { transport, target, portal, session }));
        }
        if let Some(session) = first {
            return Some(Step::Fail(NodeError::new(
                NodeErrorKind::Unavailable,
                format!(
                    "the session {} to {} is still there after its log-out",
                    session.name, session.portal
                ),
            )));
        }
        let portal = recorded.iter().find(|portal| !self.forgotten.contains(*portal))?.clone();
        Some(Step::Do(Effect::RemoveRecord { transport, target, portal }))
    }

    /// Takes the success of an effect.
    pub(super) fn apply_outcome(&mut self, effect: &Effect) {
        match effect {
            Effect::LogOut { portal, .. } => {
                self.left.insert(portal.clone());
            }
            Effect::RemoveRecord { portal, .. } => {
                self.forgotten.insert(portal.clone());
            }
            _ => {}
        }
    }
}

fn own_ports(recorded: &[Connection], is_meant: impl Fn(&Connection) -> bool) -> Vec<String> {
    recorded.iter().filter(|own| is_meant(own)).map(|own| own.portal.clone()).collect()
}

/// One look at an array with connections over NVMe/TCP.
#[derive(Debug)]
pub struct LeaveArray {
    target: String,
    leave: Leave,
}

impl LeaveArray {
    /// Begins a look at the array with a name.
    pub fn new(target: String) -> Self {
        Self { target, leave: Leave::default() }
    }
}

impl Procedure for LeaveArray {
    fn query(&self) -> HostQuery {
        let (transport, target) = (Some(BlockTransport::NvmeTcp), self.target.clone());
        HostQuery { transport, target, ..HostQuery::default() }
    }

    fn next(&mut self, view: &HostView, _: Duration) -> Step {
        let step = self.leave.next(view, BlockTransport::NvmeTcp, (&self.target, &[]), &[]);
        step.unwrap_or(Step::Done)
    }

    fn apply_outcome(
        &mut self,
        effect: &Effect,
        outcome: Result<Outcome, HostError>,
        _: Duration,
    ) -> Result<(), NodeError> {
        outcome?;
        self.leave.apply_outcome(effect);
        Ok(())
    }
}
