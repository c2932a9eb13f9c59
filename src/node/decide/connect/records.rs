//! Log-ins, and the records of the array's ports: a log-in over iSCSI goes by its record, and so does each later one. Over
//! NVMe/TCP, the record says that the connection is the node service's own.

use std::time::Duration;

use super::super::effect::Effect;
use super::super::view::HostView;
use super::{AGAIN, Connect, Records};
use crate::contract::{Attachment, BlockTransport, ChapPassword};

impl Connect {
    /// Sets the password that the records get.
    pub(in crate::node::decide) fn with_password(self, password: Option<ChapPassword>) -> Self {
        Self { records: password.map_or(Records::Plain, Records::WithPassword), ..self }
    }

    /// Keeps the records, because the password in them is not known here.
    pub(in crate::node::decide) fn with_records_kept(self, kept: bool) -> Self {
        Self { records: if kept { Records::Kept } else { self.records }, ..self }
    }

    /// Returns the next effect that gives each portal its session.
    pub(super) fn log_in(&self, view: &HostView, now: Duration) -> Option<Effect> {
        let Attachment { transport, target, portals, .. } = &self.attachment;
        if *transport == BlockTransport::FibreChannel {
            return None;
        }
        let is_due = |portal: &&String| {
            self.refused.get(*portal).is_none_or(|(when, _)| now.saturating_sub(*when) >= AGAIN)
        };
        let is_iscsi = *transport == BlockTransport::Iscsi;
        let has_record = |portal: &String| {
            if self.recorded.contains(portal) {
                return true;
            }
            match &self.records {
                _ if !is_iscsi => view.recorded.contains(portal),
                Records::Kept => true,
                Records::Plain => has_password(view, target, portal),
                Records::WithPassword(_) => false,
            }
        };
        let password = match &self.records {
            Records::WithPassword(password) if is_iscsi => Some(password.clone()),
            Records::WithPassword(_) | Records::Plain | Records::Kept => None,
        };
        let (transport, target) = (*transport, target.clone());
        let mut unrecorded = portals.iter().filter(|portal| !has_record(portal));
        if password.is_some()
            && let Some(portal) = unrecorded.find(is_due)
        {
            let portal = portal.clone();
            return Some(Effect::WriteRecord { transport, target, portal, password });
        }
        let is_missing =
            |portal: &&String| !view.sessions.iter().any(|session| session.portal == **portal);
        let portal = portals.iter().filter(is_missing).find(is_due)?.clone();
        if !has_record(&portal) {
            return Some(Effect::WriteRecord { transport, target, portal, password });
        }
        Some(Effect::LogIn { transport, target, portal })
    }
}

/// Whether the record of a port has the password with which another volume was staged. A record that is written without
/// one would take it from all volumes of the array: they have the same sessions.
fn has_password(view: &HostView, target: &str, portal: &String) -> bool {
    let mut staged = view.others.iter().filter(|other| other.chap && !other.released);
    staged.any(|other| other.target == target && other.portals.contains(portal))
}
