//! Paths that come back after a volume was staged: sessions, logical units and paths that are missing are added. Nothing
//! is removed: what is stale is removed when a volume is staged, and not while one is in use.

use std::time::Duration;

use super::connect::Connect;
use super::effect::{Effect, HostError, Outcome, Procedure, Step};
use super::view::{HostView, StagedVolume, Subject};
use crate::contract::Attachment;
use crate::node::request::NodeError;

/// One look at one staged volume.
#[derive(Debug)]
pub struct Heal {
    state: StagedVolume,
    connect: Connect,
}

impl Heal {
    /// Begins a look at a volume, with its state file; none if a newer version has written the file.
    pub fn new(state: StagedVolume) -> Option<Self> {
        let attachment = Attachment {
            transport: state.transport()?,
            target: state.target.clone(),
            portals: state.portals.clone(),
            lun: state.lun,
            serial: state.serial.clone(),
            size: 0,
            never_formatted: false,
        };
        Some(Self { state, connect: Connect::new(attachment) })
    }
}

impl Procedure for Heal {
    fn subject(&self) -> Subject {
        self.state.subject(None)
    }

    fn next(&mut self, view: &HostView, _: Duration) -> Step {
        // It may have been unstaged since the list was read.
        if view.state.as_ref() != Some(&self.state) {
            return Step::Done;
        }
        self.connect.heal(view).map_or(Step::Done, Step::Do)
    }

    fn done(
        &mut self,
        effect: &Effect,
        outcome: Result<Outcome, HostError>,
        now: Duration,
    ) -> Result<(), NodeError> {
        self.connect.done(effect, &outcome, now)
    }
}
