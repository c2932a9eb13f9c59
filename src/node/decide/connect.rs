//! From an attachment to one verified device: sessions, logical units, identity and size of every path, the map.
//!
//! The kernel does not notice when an array assigns a LUN to another volume: it goes on with the identity that it has
//! recorded. So each path is asked for its identity before it is used, and one whose answer differs from the record is
//! removed from the kernel.

pub(super) mod device;
mod nvme;
mod records;
mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::effect::{Effect, HostError, Outcome};
use super::identity::{map_uuid, wwid};
use super::view::{Device, Disk, HostView, ScsiAddress, Session};
use crate::contract::{Attachment, BlockTransport, ChapPassword};
use crate::node::request::{NodeError, NodeErrorKind};

/// How long staging waits for all paths when one is there.
pub const ALL_PATHS: Duration = Duration::from_secs(10);
/// How long staging waits for the first path.
pub const ANY_PATH: Duration = Duration::from_secs(40);
/// How long staging waits for multipathd after it was asked for a map or a path.
pub const MAP: Duration = Duration::from_secs(20);
/// The time between two looks.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The time between two attempts to log in to a portal or to scan for a LUN.
const RETRY_INTERVAL: Duration = Duration::from_secs(3);

/// What an NVMe namespace answered: its identity and its size in bytes, or when and why it did not answer.
type NamespaceAnswer = Result<(String, u64), (Duration, String)>;

/// A device that is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDevice {
    /// The device to use: the map, the namespace, or the only disk.
    pub device: Device,
    /// Its size in bytes.
    pub size: u64,
    /// The number of paths that it has.
    pub paths: usize,
    /// The number of paths that it should have.
    pub expected: usize,
}

/// Where the connection stands.
pub(super) enum Progress {
    Do(Effect),
    Wait,
    VerifiedDevice(VerifiedDevice),
}

/// The connection of one volume.
#[derive(Debug)]
pub(super) struct Connect {
    attachment: Attachment,
    wwid: String,
    /// The first look.
    since: Option<Duration>,
    /// What the records have beside the names.
    records: Records,
    /// Portals that the record was written for.
    recorded: BTreeSet<String>,
    /// The last attempt to log in to each portal that failed, and why.
    refused: BTreeMap<String, (Duration, String)>,
    /// The last scan of each address.
    scanned: BTreeMap<ScsiAddress, Duration>,
    /// What each disk answered when it was asked.
    identities: BTreeMap<(String, ScsiAddress), Result<String, (Duration, String)>>,
    /// What each NVMe namespace answered when it was asked.
    namespaces: BTreeMap<Device, NamespaceAnswer>,
    /// Addresses at which a disk was removed once.
    cleared: BTreeSet<ScsiAddress>,
    /// Disks and controllers that were rescanned.
    rescanned: BTreeSet<String>,
    /// When multipathd was asked for the map, and for each path.
    asked: BTreeMap<String, Duration>,
    /// Paths that were taken out of the map, and maps that were resized or resumed.
    repaired: BTreeSet<String>,
}

/// What happens to the records of an array's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Records {
    /// They are written before a log-in, and keep the password that another volume may have given them.
    Plain,
    /// They are written with a password, also for ports with a session: it logs in again by its record.
    WithPassword(ChapPassword),
    /// They have a password that is not known here, and stay as they are.
    Kept,
}

/// What a check of the identity of a disk has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DiskIdentity {
    /// Recorded and answered identity are the volume's.
    Ours,
    /// The kernel's record differs from what the disk is.
    Stale,
    /// It is another volume, and the kernel knows it.
    Foreign,
    /// It does not answer.
    Silent,
}

impl Connect {
    pub(super) fn new(attachment: Attachment) -> Self {
        let wwid = wwid(attachment.transport, &attachment.serial);
        Self {
            attachment,
            wwid,
            since: None,
            records: Records::Plain,
            recorded: BTreeSet::new(),
            refused: BTreeMap::new(),
            scanned: BTreeMap::new(),
            identities: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            cleared: BTreeSet::new(),
            rescanned: BTreeSet::new(),
            asked: BTreeMap::new(),
            repaired: BTreeSet::new(),
        }
    }

    pub(super) fn next(&mut self, view: &HostView, now: Duration) -> Result<Progress, NodeError> {
        let waited = now.saturating_sub(*self.since.get_or_insert(now));
        if self.attachment.transport == BlockTransport::NvmeTcp {
            return self.next_nvme(view, now, waited);
        }
        if let Some(effect) = self.clear(view, now)? {
            return Ok(Progress::Do(effect));
        }
        let good: Vec<&Disk> = view
            .disks
            .iter()
            .filter(|disk| disk.live && self.disk_identity(disk) == Some(DiskIdentity::Ours))
            .collect();
        if good.is_empty() && waited >= ANY_PATH {
            return Err(self.no_path(view));
        }
        if good.is_empty() || waited < ALL_PATHS {
            // A log-in to a dead port takes long, and other volumes of the array wait for it. A volume that has a path
            // by the time of its turn goes on without it.
            let effect = self.scan(view, now).or_else(|| self.log_in(view, now));
            if let Some(effect) = effect {
                return Ok(Progress::Do(effect));
            }
        }
        if good.is_empty() {
            return Ok(Progress::Wait);
        }
        let has_path = |session: &Session| {
            good.iter().any(|disk| disk.address.map(|address| address.bus) == session.bus)
        };
        let covered = view.sessions.iter().filter(|session| has_path(session)).count();
        // The fabric says which ports of Fibre Channel are there; for iSCSI all have to be.
        let expected = match self.attachment.transport {
            BlockTransport::FibreChannel => view.sessions.iter().filter(|it| it.live).count(),
            _ => self.attachment.portals.len(),
        };
        if covered < expected && waited < ALL_PATHS {
            return Ok(Progress::Wait);
        }
        for disk in &good {
            if let Some(address) = disk.address.filter(|_| !self.rescanned.contains(&disk.name)) {
                return Ok(Progress::Do(Effect::RescanDisk { disk: disk.name.clone(), address }));
            }
        }
        if let Some(short) = good.iter().find(|disk| disk.size < self.attachment.size) {
            return Err(self.too_short(&short.name, short.size));
        }
        self.device(view, &good, now)
    }

    /// Removes disks that the kernel takes for what they are not.
    fn clear(&self, view: &HostView, now: Duration) -> Result<Option<Effect>, NodeError> {
        for disk in &view.disks {
            let Some(address) = disk.address else { continue };
            let name = disk.name.clone();
            let asked = self.identities.get(&(name.clone(), address));
            let is_due = matches!(asked, Some(Err((when, _))) if now.saturating_sub(*when) >= RETRY_INTERVAL);
            let Some(identity) = self.disk_identity(disk).filter(|_| !is_due) else {
                return Ok(Some(Effect::Inquire { disk: name, address }));
            };
            let delete = Some(Effect::DeleteDisk { disk: name, address });
            if self.is_mistaken(view, disk) {
                return Ok(delete);
            }
            // Kernel and disk agree. Either it was there before an earlier volume left, and is of no use; or the
            // attachment is out of date, and the disk is a path of a volume in use.
            if identity == DiskIdentity::Foreign {
                let is_used = !disk.holders.is_empty()
                    || view.mounts.iter().any(|mount| mount.number == disk.number);
                if is_used || self.cleared.contains(&address) {
                    return Err(self.another_volume(disk, address));
                }
                return Ok(delete);
            }
        }
        Ok(None)
    }

    /// Returns what the check of a disk has found; none if it has not been asked.
    fn disk_identity(&self, disk: &Disk) -> Option<DiskIdentity> {
        let key = (disk.name.clone(), disk.address?);
        let recorded = disk.wwid.as_ref() == Some(&self.wwid);
        Some(match self.identities.get(&key)? {
            Err(_) => DiskIdentity::Silent,
            Ok(answer) => match (recorded, *answer == self.wwid) {
                (true, true) => DiskIdentity::Ours,
                (false, false) if disk.wwid.as_ref() == Some(answer) => DiskIdentity::Foreign,
                _ => DiskIdentity::Stale,
            },
        })
    }

    /// Whether the kernel, or something on top of the disk, takes it for another volume than it is.
    fn is_mistaken(&self, view: &HostView, disk: &Disk) -> bool {
        match self.disk_identity(disk) {
            Some(DiskIdentity::Stale) => true,
            Some(DiskIdentity::Ours) => self.is_used_as_another(view, disk),
            _ => false,
        }
    }

    /// Whether a disk of the volume is in use as a disk of another volume, which had its LUN before.
    fn is_used_as_another(&self, view: &HostView, disk: &Disk) -> bool {
        let uuid = map_uuid(&self.attachment.serial);
        let in_foreign_map = disk
            .holders
            .iter()
            .any(|holder| holder.uuid.starts_with("mpath-") && holder.uuid != uuid);
        let others = view.others.iter().filter(|other| other.serial != self.attachment.serial);
        let mut stagings = others.map(|other| &other.staging);
        let is_mounted = |path: &PathBuf| {
            view.mounts.iter().any(|mount| mount.path == *path && mount.number == disk.number)
        };
        in_foreign_map || stagings.any(is_mounted)
    }

    /// Returns the next scan for the volume's LUN. Nothing else is scanned: other LUNs are not this volume's.
    fn scan(&self, view: &HostView, now: Duration) -> Option<Effect> {
        let live = view.sessions.iter().filter(|session| session.live);
        let addresses = live.filter_map(|session| Some(session.bus?.lun(self.attachment.lun)));
        let is_missing =
            |at: &ScsiAddress| !view.disks.iter().any(|disk| disk.address.as_ref() == Some(at));
        let is_due = |at: &ScsiAddress| {
            self.scanned.get(at).is_none_or(|when| now.saturating_sub(*when) >= RETRY_INTERVAL)
        };
        addresses.filter(is_missing).find(is_due).map(Effect::Scan)
    }

    /// Takes the outcome of one of its effects. Returns the error if the connection cannot live with it.
    pub(super) fn apply_outcome(
        &mut self,
        effect: &Effect,
        outcome: &Result<Outcome, HostError>,
        now: Duration,
    ) -> Result<(), NodeError> {
        let failed = outcome.as_ref().err().map(|error| error.message.clone());
        match effect {
            Effect::WriteRecord { portal, .. } | Effect::LogIn { portal, .. } => match failed {
                Some(error) => {
                    self.refused.insert(portal.clone(), (now, error));
                }
                None if matches!(effect, Effect::WriteRecord { .. }) => {
                    self.recorded.insert(portal.clone());
                }
                None => {
                    self.refused
                        .insert(portal.clone(), (now, "no session has appeared".to_owned()));
                }
            },
            Effect::Scan(address) => {
                self.scanned.insert(*address, now);
                self.identities.retain(|(_, at), _| at != address);
            }
            Effect::Inquire { disk, address } => {
                let answer = match outcome {
                    Ok(Outcome::Identity(identity)) => Ok(identity.clone()),
                    Ok(_) => Err((now, "it gave no identity".to_owned())),
                    Err(error) => Err((now, error.message.clone())),
                };
                self.identities.insert((disk.clone(), *address), answer);
            }
            Effect::InquireNamespace(device) => {
                let answer = match outcome {
                    Ok(Outcome::Namespace(identity, size)) => Ok((identity.clone(), *size)),
                    Ok(_) => Err((now, "it gave no identity".to_owned())),
                    Err(error) => Err((now, error.message.clone())),
                };
                self.namespaces.insert(device.clone(), answer);
            }
            Effect::DeleteDisk { disk, address } => {
                if let Some(error) = failed {
                    return Err(NodeError::new(NodeErrorKind::Internal, error));
                }
                self.identities.remove(&(disk.clone(), *address));
                self.cleared.insert(*address);
                self.rescanned.remove(disk);
                self.scanned.remove(address);
            }
            Effect::RescanDisk { disk: name, .. } | Effect::RescanController(name) => {
                self.rescanned.insert(name.clone());
            }
            // Only what the next views show counts; the time limits what is waited for.
            Effect::CreateMap { wwid: name, .. } | Effect::AddPath(name) => {
                self.asked.insert(name.clone(), now);
            }
            Effect::ResizeMap(name) | Effect::ResumeMap(name) | Effect::RemovePath(name) => {
                self.repaired.insert(name.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn no_path(&self, view: &HostView) -> NodeError {
        let Attachment { portals, lun, serial, .. } = &self.attachment;
        let mut why: Vec<String> = Vec::new();
        let has_session =
            |portal: &String| view.sessions.iter().any(|session| session.portal == *portal);
        for (portal, (_, error)) in self.refused.iter().filter(|(portal, _)| !has_session(portal)) {
            why.push(format!("{portal}: {error}"));
        }
        for session in &view.sessions {
            let state = if session.live { "has no disk at the LUN" } else { "is not logged in" };
            why.push(format!("{}: the session {} {state}", session.portal, session.name));
        }
        for ((disk, _), answer) in &self.identities {
            if let Err((_, error)) = answer {
                why.push(format!("{disk}: {error}"));
            }
        }
        for (device, answer) in &self.namespaces {
            if let Err((_, error)) = answer {
                why.push(format!("{}: {error}", device.name));
            }
        }
        let why = if why.is_empty() { "no session".to_owned() } else { why.join("; ") };
        NodeError::new(
            NodeErrorKind::Unavailable,
            format!(
                "no path to volume {serial} at LUN {lun} over {}: {why}; check the node's network to these ports and \
                 the connection of its host object on the array",
                portals.join(", ")
            ),
        )
    }

    fn too_short(&self, name: &str, size: u64) -> NodeError {
        let wanted = self.attachment.size;
        NodeError::new(
            NodeErrorKind::FailedPrecondition,
            format!(
                "{name} has {size} bytes, but the array attached volume {} with {wanted} bytes; the device is refused",
                self.attachment.serial
            ),
        )
    }

    fn another_volume(&self, disk: &Disk, address: ScsiAddress) -> NodeError {
        let is = disk.wwid.as_deref().unwrap_or("unknown");
        NodeError::new(
            NodeErrorKind::FailedPrecondition,
            format!(
                "the array presents another volume ({is}) as {} at {address}, where volume {} is expected; the device \
                 is refused, and the attachment is out of date: delete the pod, so that the volume is attached again",
                disk.name, self.attachment.serial
            ),
        )
    }
}
