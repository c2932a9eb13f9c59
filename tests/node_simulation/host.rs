//! The host's side of the model: views and effects, with a crash at each, and the invariants that hold at every effect.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pso_gen::contract::{BlockTransport, NodeId};
use pso_gen::node::decide::{
    Connection, Disk, Effect, Holder, HostError, HostErrorKind, HostQuery, HostView, Map, Mount,
    Outcome, PathNode, ScsiAddress, Session, StagedVolume, map_uuid, wwid,
};
use pso_gen::node::{FormatRecord, Host, Usage, VolumeHandle};

use super::kernel::{Crash, Kernel, KernelMount, Node, On};

/// One process on the node.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedHost {
    pub(crate) kernel: Arc<Mutex<Kernel>>,
    pub(crate) life: usize,
}

fn error(kind: HostErrorKind, message: &str) -> HostError {
    HostError { kind, message: message.to_owned() }
}

pub(crate) fn failed(message: &str) -> HostError {
    error(HostErrorKind::Failed, message)
}

impl SimulatedHost {
    pub(crate) fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<MutexGuard<'_, Kernel>, HostError> {
        let kernel = self.kernel();
        if kernel.life == self.life { Ok(kernel) } else { Err(failed("the process has ended")) }
    }

    /// Counts an effect and carries it out, unless the process ends at it.
    fn with_crash(
        &self,
        name: &str,
        execute: impl FnOnce(&mut Kernel, bool) -> Result<Outcome, HostError>,
    ) -> Result<Outcome, HostError> {
        let mut kernel = self.alive()?;
        let at = kernel.effects;
        kernel.effects += 1;
        kernel.time += Duration::from_millis(10);
        let crash = kernel.crashes.iter().find(|(when, _)| *when == at).map(|(_, kind)| *kind);
        let line = format!("{:>6} {at} {name} {crash:?}", kernel.time.as_millis());
        kernel.trace.push(line);
        if crash == Some(Crash::Before) {
            kernel.life += 1;
            return Err(failed("the process ends before an effect"));
        }
        let outcome = execute(&mut kernel, crash == Some(Crash::Midway));
        if let Err(why) = &outcome {
            kernel.trace.push(format!("       {why}"));
        }
        if crash.is_some() {
            kernel.life += 1;
            return Err(failed("the process ends after an effect"));
        }
        outcome
    }
}

impl Kernel {
    fn view(&self, query: &HostQuery) -> HostView {
        let fc = self.transport == BlockTransport::FibreChannel;
        let is_session = |target: &str, portal: &String| {
            target == query.target && (!fc || query.portals.contains(portal))
        };
        let shown = |from: Duration| from <= self.time;
        let identity = query
            .serial
            .as_ref()
            .map(|serial| wwid(query.transport.unwrap_or(self.transport), serial));
        let sessions: Vec<Session> = self
            .sessions
            .iter()
            .filter(|(_, session)| is_session(&session.target, &session.portal))
            .map(|(name, session)| Session {
                name: name.clone(),
                portal: session.portal.clone(),
                live: self.is_up(&session.portal),
                bus: session.bus,
                disks: self.disks.values().filter(|disk| disk.bus == session.bus).count(),
            })
            .collect();
        let uuid = query.serial.as_ref().map(|serial| map_uuid(serial));
        let mounted: Vec<_> = self
            .mounts
            .iter()
            .filter(|mount| Some(&mount.path) == query.staging.as_ref())
            .map(|mount| mount.number)
            .collect();
        let holders = |name: &str, own: &[(String, String)]| {
            let maps = self.maps.iter().filter(|(_, map)| map.slaves.iter().any(|s| s == name));
            let maps = maps.map(|(name, map)| (name.clone(), map.uuid.clone()));
            let all = maps.chain(own.iter().cloned());
            all.map(|(name, uuid)| Holder { name, uuid }).collect()
        };
        let disks: Vec<Disk> = self
            .disks
            .iter()
            .filter(|(_, disk)| {
                let is_at_lun = disk.bus.is_some()
                    && Some(disk.lun) == query.lun
                    && sessions.iter().any(|session| session.bus == disk.bus);
                let is_known = disk.wwid.is_some() && disk.wwid == identity;
                // A host that reports too many namespaces has to do no harm.
                shown(disk.from)
                    && (disk.bus.is_none()
                        || is_at_lun
                        || is_known
                        || mounted.contains(&disk.number))
            })
            .map(|(name, disk)| Disk {
                name: name.clone(),
                number: disk.number,
                address: disk.bus.map(|bus| ScsiAddress { bus, lun: disk.lun }),
                wwid: disk.wwid.clone(),
                size: disk.size,
                live: match disk.bus {
                    None => self.behind_disk(disk).is_some(),
                    bus => self.sessions.values().any(|it| it.bus == bus && self.is_up(&it.portal)),
                },
                holders: holders(name, &disk.holders),
            })
            .collect();
        let maps = self.maps.iter().filter(|(_, map)| {
            shown(map.from)
                && (Some(&map.uuid) == uuid.as_ref()
                    || mounted.contains(&map.number)
                    || map.slaves.iter().any(|slave| disks.iter().any(|disk| disk.name == *slave)))
        });
        HostView {
            maps: maps
                .map(|(name, map)| Map {
                    name: name.clone(),
                    alias: Self::alias(map),
                    number: map.number,
                    uuid: map.uuid.clone(),
                    size: map.size,
                    suspended: map.is_suspended,
                    slaves: map.slaves.clone(),
                    holders: holders(name, &map.holders),
                })
                .collect(),
            sessions,
            disks,
            multipath: self.has_multipath,
            mounts: self.mounts.iter().map(|mount| self.show(mount)).collect(),
            state: query.staging.as_ref().and_then(|path| self.states.get(path)).cloned(),
            others: self
                .states
                .values()
                .filter(|state| Some(&state.staging) != query.staging.as_ref())
                .cloned()
                .collect(),
            recorded: self.connections().unwrap_or_default(),
            node: query.path.as_ref().map_or(PathNode::Missing, |path| self.node_at(path)),
        }
    }

    /// The records of connections over NVMe/TCP; none if they cannot be read.
    fn connections(&self) -> Option<Vec<Connection>> {
        if self.faults.unreadable_records {
            return None;
        }
        let is_nvme = self.transport == BlockTransport::NvmeTcp;
        let portals = self.records.keys().filter(|_| is_nvme);
        let record = |portal: &String| Connection {
            target: self.target.clone(),
            portal: portal.clone(),
            connected: self.connected.contains(portal),
        };
        Some(portals.map(record).collect())
    }

    fn show(&self, mount: &KernelMount) -> Mount {
        Mount {
            path: mount.path.clone(),
            number: mount.number,
            root: mount.root.clone(),
            read_only: mount.read_only,
            fs_type: self.behind(mount.number).and_then(|serial| match self.volumes[&serial].on {
                On::FileSystem(fs_type) => Some(fs_type),
                _ => None,
            }),
            aborted: self.aborted.contains(&mount.number) && !self.faults.quiet_abort,
            errors: self.faults.old_errors || self.aborted.contains(&mount.number),
        }
    }

    fn node_at(&self, path: &Path) -> PathNode {
        if let Some(device) = self.top(path).and_then(|mount| mount.device) {
            return PathNode::Device(device);
        }
        match self.nodes.get(path) {
            None => PathNode::Missing,
            Some(Node::File) => PathNode::File,
            Some(Node::Folder { .. }) => PathNode::Folder,
        }
    }
}

#[async_trait]
impl Host for SimulatedHost {
    async fn view(&self, query: &HostQuery) -> Result<HostView, HostError> {
        let mut kernel = self.alive()?;
        kernel.views += 1;
        Ok(kernel.view(query))
    }

    async fn staged(&self) -> Result<Vec<StagedVolume>, HostError> {
        Ok(self.alive()?.states.values().cloned().collect())
    }

    async fn connected(&self) -> Result<Vec<Connection>, HostError> {
        let connections = self.alive()?.connections();
        connections.ok_or_else(|| failed("a record: unexpected end of file"))
    }

    async fn execute(
        &self,
        volume: Option<&VolumeHandle>,
        effect: &Effect,
    ) -> Result<Outcome, HostError> {
        self.with_crash(&format!("{effect:?}"), |kernel, midway| {
            kernel.execute(volume, effect, midway)
        })
    }

    async fn usage(&self, path: &Path) -> Result<(Usage, Option<Usage>), HostError> {
        let kernel = self.alive()?;
        if kernel.top(path).is_some_and(|mount| kernel.hangs(mount.device.unwrap_or(mount.number)))
        {
            kernel.broken("a file system that hangs is asked for its usage");
        }
        let mount = kernel.top(path).ok_or_else(|| failed("not mounted"))?;
        let number = mount.device.unwrap_or(mount.number);
        let serial = kernel
            .behind(number)
            .filter(|_| !kernel.faults.no_usage)
            .ok_or_else(|| failed("Input/output error"))?;
        let bytes = Usage { total: kernel.volumes[&serial].fs_size, ..Usage::default() };
        Ok((bytes, mount.device.is_none().then(Usage::default)))
    }

    async fn initiators(&self) -> Result<NodeId, HostError> {
        Ok(NodeId { iqn: Some("iqn.2026-11.example:n1".to_owned()), ..NodeId::default() })
    }

    fn now(&self) -> Duration {
        self.kernel().time
    }

    async fn pause(&self, duration: Duration) {
        self.kernel().time += duration;
    }
}

#[async_trait]
impl FormatRecord for SimulatedHost {
    async fn record_formatted(&self, volume: &VolumeHandle) -> Result<(), String> {
        let record = |kernel: &mut Kernel, _| {
            if kernel.faults.no_record {
                return Err(failed("the API server does not answer"));
            }
            let serial = kernel.handles[volume].clone();
            kernel.volume(&serial).is_recorded = true;
            Ok(Outcome::Done)
        };
        self.with_crash("record the formatting", record).map(|_| ()).map_err(|error| error.message)
    }
}
