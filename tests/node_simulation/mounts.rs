//! Mounts of the model, and what breaks the test at them: another volume's file system, one that is damaged or not
//! checked, a pod's folder that is open.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pso_gen::node::FsType;
use pso_gen::node::decide::{Device, DeviceNumber, HostError, HostErrorKind, Outcome};

use super::effects::Done;
use super::host::failed;
use super::kernel::{DEV, Kernel, KernelMount, Node, On};

impl Kernel {
    pub(crate) fn mount(
        &mut self,
        serial: &str,
        device: &Device,
        path: &Path,
        fs_type: FsType,
        options: &[String],
    ) -> Done {
        let reached = self.reached(serial, device)?;
        let volume = self.volumes[&reached].clone();
        if volume.on != On::FileSystem(fs_type) {
            return Err(failed("wrong fs type"));
        }
        let is_mounted = self.mounts.iter().any(|mount| mount.number == device.number);
        if fs_type == FsType::Ext4 && volume.checks == 0 && !is_mounted {
            self.broken("ext4 is mounted without a check");
        }
        if volume.is_damaged {
            self.broken("a damaged file system is mounted");
        }
        if self.top(path).is_some() {
            self.broken("a mount over a mount");
        }
        let same = |mount: &KernelMount| {
            let there = self.behind(mount.number);
            mount.number != device.number
                && there.is_some_and(|s| self.volumes[&s].uuid == volume.uuid)
        };
        let has_nouuid = options.iter().any(|option| option == "nouuid");
        if fs_type == FsType::Xfs && !has_nouuid && self.mounts.iter().any(same) {
            return Err(failed("wrong fs type: duplicate UUID"));
        }
        self.volume(&reached).checks = 0;
        if !self.faults.private {
            self.mounts.push(KernelMount {
                path: path.to_owned(),
                number: device.number,
                root: PathBuf::from("/"),
                read_only: options.iter().any(|option| option == "ro"),
                device: None,
            });
        }
        Ok(Outcome::Done)
    }

    pub(crate) fn bind(&mut self, serial: &str, source: &Path, path: &Path, read_only: bool) {
        let Some(mount) = self.top(source).cloned() else {
            self.broken("a pod gets a folder of the node's own disk");
        };
        if !matches!(self.nodes.get(path), Some(Node::Folder { is_sealed: true })) {
            self.broken("a pod's folder is open without its mount");
        }
        self.given(serial, mount.number);
        if !self.faults.private {
            self.mounts.push(KernelMount { path: path.to_owned(), read_only, ..mount });
        }
    }

    /// A pod gets a device: it has to be the right one, and recorded as formatted when it has a file system.
    pub(crate) fn given(&self, serial: &str, number: DeviceNumber) {
        match self.behind(number) {
            Some(reached) if reached != serial => self.broken("a pod gets another volume"),
            Some(reached) => {
                let volume = &self.volumes[&reached];
                if matches!(volume.on, On::FileSystem(_)) && !volume.is_recorded {
                    self.broken("a pod gets a file system that is not recorded");
                }
            }
            None => {}
        }
    }

    pub(crate) fn bind_device(&mut self, serial: &str, device: &Device, path: &Path) -> Done {
        if self.nodes.get(path) != Some(&Node::File) {
            return Err(failed("no such file"));
        }
        self.given(serial, device.number);
        if !self.faults.private {
            self.mounts.push(KernelMount {
                path: path.to_owned(),
                number: DEV,
                root: PathBuf::from(format!("/{}", device.name)),
                read_only: false,
                device: Some(device.number),
            });
        }
        Ok(Outcome::Done)
    }

    pub(crate) fn unmount(&mut self, path: &Path, lazy: bool) -> Done {
        let Some(at) = self.mounts.iter().rposition(|mount| mount.path == path) else {
            return Err(failed("not mounted"));
        };
        let number = self.mounts[at].number;
        let is_last = self.mounts.iter().filter(|mount| mount.number == number).count() == 1;
        if is_last && self.hangs(number) && !lazy {
            self.time += Duration::from_secs(30);
            let message = "umount did not end within 30 s".to_owned();
            return Err(HostError { kind: HostErrorKind::TimedOut, message });
        }
        if self.faults.unmount_lies {
            return Ok(Outcome::Done);
        }
        self.mounts.remove(at);
        if is_last {
            self.aborted.remove(&number);
        }
        Ok(Outcome::Done)
    }
}
