//! The connection over NVMe/TCP: the kernel itself combines the paths, finds namespaces without a scan, and reports
//! their identity (NGUID). The namespace itself is asked for both identity and size, because the kernel's record may be
//! older than what the array has there now. A namespace's number is assigned again and identifies nothing.

use std::time::Duration;

use super::super::effect::Effect;
use super::super::view::{Disk, HostView};
use super::{ALL_PATHS, ANY_PATH, Connect, Progress, RETRY_INTERVAL, VerifiedDevice};
use crate::node::request::{NodeError, NodeErrorKind};

impl Connect {
    pub(super) fn next_nvme(
        &self,
        view: &HostView,
        now: Duration,
        waited: Duration,
    ) -> Result<Progress, NodeError> {
        let live = view.sessions.iter().filter(|session| session.live).count();
        // A new controller reads its namespaces by itself. The rescan is for those that were connected before.
        for session in view.sessions.iter().filter(|session| session.live) {
            if !self.rescanned.contains(&session.name) {
                return Ok(Progress::Do(Effect::RescanController(session.name.clone())));
            }
        }
        // After the rescan: a log-in to a dead port takes long, and other volumes of the array wait for it.
        let limit = if view.disks.iter().any(|disk| disk.live) { ALL_PATHS } else { ANY_PATH };
        if waited < limit
            && let Some(effect) = self.log_in(view, now)
        {
            return Ok(Progress::Do(effect));
        }
        let disks: Vec<_> = view
            .disks
            .iter()
            .filter(|disk| disk.live && disk.wwid.as_ref() == Some(&self.wwid))
            .collect();
        let expected = self.attachment.portals.len();
        match disks[..] {
            [] if waited < ANY_PATH => Ok(Progress::Wait),
            [] => Err(self.no_path(view)),
            [_] if live < expected && waited < ALL_PATHS => Ok(Progress::Wait),
            [disk] => self.verified_namespace(disk, live, now, waited),
            [first, second, ..] => Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "the volume appears twice, as {} and {}: the host does not combine the paths of NVMe devices; set \
                     nvme_core.multipath=Y on the kernel's command line",
                    first.name, second.name
                ),
            )),
        }
    }

    /// Asks the namespace that the kernel takes for the volume, and compares its answer.
    fn verified_namespace(
        &self,
        disk: &Disk,
        live: usize,
        now: Duration,
        waited: Duration,
    ) -> Result<Progress, NodeError> {
        let device = disk.device();
        match self.namespaces.get(&device) {
            None => Ok(Progress::Do(Effect::InquireNamespace(device))),
            Some(Err((when, _))) if waited < ANY_PATH => {
                if now.saturating_sub(*when) < RETRY_INTERVAL {
                    return Ok(Progress::Wait);
                }
                Ok(Progress::Do(Effect::InquireNamespace(device)))
            }
            Some(Err((_, error))) => Err(NodeError::new(
                NodeErrorKind::Unavailable,
                format!("{} does not report which volume it is: {error}", disk.name),
            )),
            Some(Ok((identity, _))) if *identity != self.wwid => Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "{} is {identity} and not volume {}, for which the kernel takes it; the device is refused",
                    disk.name, self.attachment.serial
                ),
            )),
            Some(Ok((_, size))) if (*size).min(disk.size) < self.attachment.size => {
                Err(self.too_short(&disk.name, (*size).min(disk.size)))
            }
            Some(Ok(_)) => Ok(Progress::VerifiedDevice(VerifiedDevice {
                device: disk.device(),
                size: disk.size,
                paths: live,
                expected: self.attachment.portals.len(),
            })),
        }
    }
}
