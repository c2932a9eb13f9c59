//! Log-ins, and the records of the array's ports: a log-in over iSCSI goes by its record, and so does each later one. Over
//! NVMe/TCP, the record says that the connection is the node service's own.

use std::time::Duration;

use super::super::effect::{Effect, RecordPassword};
use super::super::view::HostView;
use super::{Connect, RETRY_INTERVAL, Records};
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
            self.refused
                .get(*portal)
                .is_none_or(|(when, _)| now.saturating_sub(*when) >= RETRY_INTERVAL)
        };
        let is_iscsi = *transport == BlockTransport::Iscsi;
        let has_record = |portal: &String| {
            if self.recorded.contains(portal) {
                return true;
            }
            match &self.records {
                // The record of an earlier connection proves nothing about the next one.
                _ if !is_iscsi => {
                    view.recorded.iter().any(|own| own.portal == *portal && !own.connected)
                }
                Records::Kept => true,
                Records::Plain | Records::WithPassword(_) => false,
            }
        };
        let password = |portal: &String| match &self.records {
            Records::WithPassword(password) if is_iscsi => RecordPassword::Given(password.clone()),
            Records::Plain if may_have_password(view, target, portal) => RecordPassword::Kept,
            Records::WithPassword(_) | Records::Plain | Records::Kept => RecordPassword::None,
        };
        let is_given = is_iscsi && matches!(self.records, Records::WithPassword(_));
        let write_record = |portal: &String| Effect::WriteRecord {
            transport: *transport,
            target: target.clone(),
            portal: portal.clone(),
            password: password(portal),
        };
        let mut unrecorded = portals.iter().filter(|portal| !has_record(portal));
        if is_given && let Some(portal) = unrecorded.find(is_due) {
            return Some(write_record(portal));
        }
        let is_missing =
            |portal: &&String| !view.sessions.iter().any(|session| session.portal == **portal);
        let portal = portals.iter().filter(is_missing).find(is_due)?;
        if !has_record(portal) {
            return Some(write_record(portal));
        }
        let (transport, target, portal) = (*transport, target.clone(), portal.clone());
        Some(Effect::LogIn { transport, target, portal })
    }
}

/// Whether the record of a port, if there is one, may have the password with which another volume was staged. A record that
/// is written without one would take it from all volumes of the array: they have the same sessions.
fn may_have_password(view: &HostView, target: &str, portal: &String) -> bool {
    let mut staged = view.others.iter().filter(|other| other.chap && !other.released);
    staged.any(|other| other.target == target && other.portals.contains(portal))
}
