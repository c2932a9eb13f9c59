//! Paths that come back after a volume was staged: sessions, logical units and paths that are missing are added. Only
//! what leads to another volume by now is removed.

use std::time::Duration;

use super::connect::Connect;
use super::effect::{Effect, HostError, Outcome, Procedure, Step};
use super::view::{HostQuery, HostView, StagedVolume};
use crate::contract::Attachment;
use crate::node::request::NodeError;

/// One look at one staged volume.
#[derive(Debug)]
pub struct Heal {
    state: StagedVolume,
    connect: Connect,
    may_log_in: bool,
}

impl Heal {
    /// Begins a look at a volume, with its state file; none if a newer version has written the file.
    ///
    /// All volumes of an array have the same sessions. It is enough that one of them tries to log in.
    pub fn new(state: StagedVolume, may_log_in: bool) -> Option<Self> {
        let attachment = Attachment {
            transport: state.transport()?,
            target: state.target.clone(),
            portals: state.portals.clone(),
            lun: state.lun,
            serial: state.serial.clone(),
            size: 0,
            never_formatted: false,
        };
        let connect = Connect::new(attachment).with_records_kept(state.chap);
        Some(Self { state, connect, may_log_in })
    }
}

impl Procedure for Heal {
    fn query(&self) -> HostQuery {
        self.state.query(None)
    }

    fn next(&mut self, view: &HostView, _: Duration) -> Step {
        // It may have been unstaged since the list was read.
        if view.state.as_ref() != Some(&self.state) {
            return Step::Done;
        }
        self.connect.heal(view, self.may_log_in).map_or(Step::Done, Step::Do)
    }

    fn apply_outcome(
        &mut self,
        effect: &Effect,
        outcome: Result<Outcome, HostError>,
        now: Duration,
    ) -> Result<(), NodeError> {
        self.connect.apply_outcome(effect, &outcome, now)
    }
}
