//! Whether a success is true: the right device is mounted, a pod's write reaches its own volume, and after the end
//! nothing is left.

use std::path::Path;

use pso_gen::contract::BlockTransport;
use pso_gen::node::decide::{map_uuid, wwid};

use super::kernel::Node as PathNode;
use super::lab::{Lab, serial, staging, target};

impl Lab {
    /// A pod writes its name; it has to reach its own volume, or fail.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let mut kernel = self.kernel();
        let path = target(name, "pod");
        let Some(mount) = kernel.top(&path).cloned() else {
            return match kernel.nodes.get(&path) {
                Some(PathNode::Folder { is_sealed: true }) | None => Err("EACCES".to_owned()),
                _ => kernel.broken("a pod writes to the node's own disk"),
            };
        };
        let number = mount.device.unwrap_or(mount.number);
        if mount.read_only || kernel.aborted.contains(&number) {
            return Err("EROFS".to_owned());
        }
        let Some(reached) = kernel.behind(number) else {
            if mount.device.is_none() {
                kernel.aborted.insert(number);
            }
            return Err("EIO".to_owned());
        };
        if reached != serial(name) {
            kernel.broken("a pod writes to another volume");
        }
        kernel.volume(&reached).data = Some(text.to_owned());
        if mount.device.is_some() {
            kernel.dirty.insert(number);
        }
        Ok(())
    }

    pub(crate) fn must_be_mounted(&self, name: &str, path: &Path) {
        let kernel = self.kernel();
        let Some(mount) = kernel.top(path) else { kernel.broken("success without a mount") };
        let number = mount.device.unwrap_or(mount.number);
        let mut numbers = kernel.maps.values().map(|map| map.number);
        let mut disks = kernel.disks.values().map(|disk| disk.number);
        if !numbers.any(|it| it == number) && !disks.any(|it| it == number) {
            kernel.broken("success with a device that is none of the array's");
        }
        if kernel.behind(number).is_some_and(|reached| reached != serial(name)) {
            kernel.broken("success with another volume");
        }
        if mount.device.is_none() && (mount.read_only || kernel.aborted.contains(&number)) {
            kernel.broken("success with a read-only file system");
        }
        let size = kernel.maps.values().find(|map| map.number == number).map(|map| map.size);
        let size =
            size.or_else(|| kernel.disks.values().find(|d| d.number == number).map(|d| d.size));
        let volume = &kernel.volumes[&serial(name)];
        if mount.device.is_none() && size.is_some_and(|size| volume.fs_size < size) {
            kernel.broken("success with a file system that is smaller than its device");
        }
        if let Some(map) = kernel.maps.values().find(|map| map.number == number) {
            let identity = Some(wwid(kernel.transport, &serial(name)));
            let is_ours =
                |slave: &String| kernel.disks.get(slave).is_some_and(|it| it.wwid == identity);
            if !map.slaves.iter().all(is_ours) {
                kernel.broken("success with a path of another volume");
            }
        }
    }

    /// Nothing of a volume is left, and of the array nothing when it was the last one.
    pub(crate) fn must_be_gone(&self, name: &str) {
        let kernel = self.kernel();
        let identity = Some(wwid(kernel.transport, &serial(name)));
        if kernel.top(&staging(name)).is_some() {
            kernel.broken("unstaged, and still mounted");
        }
        if kernel.transport != BlockTransport::NvmeTcp
            && kernel.disks.values().any(|disk| disk.wwid == identity)
        {
            kernel.broken("unstaged, and a disk is left");
        }
        if kernel.maps.values().any(|map| map.uuid == map_uuid(&serial(name))) {
            kernel.broken("unstaged, and a map is left");
        }
        if kernel.states.get(&staging(name)).is_some_and(|state| !state.released) {
            kernel.broken("unstaged, and the state is left");
        }
        if kernel.nodes.get(&staging(name)) == Some(&PathNode::Folder { is_sealed: true }) {
            kernel.broken("unstaged, and kubelet cannot remove the folder");
        }
    }

    /// After the last volume nothing is left on the node.
    pub(crate) fn must_be_empty(&self) {
        let kernel = self.kernel();
        let is_fc = kernel.transport == BlockTransport::FibreChannel;
        let left = [
            kernel.disks.len(),
            kernel.maps.len(),
            kernel.mounts.len(),
            kernel.states.values().filter(|state| !state.released).count(),
            kernel.records.len(),
            if is_fc {
                0
            } else {
                kernel.sessions.values().filter(|it| !kernel.unproven.contains(&it.portal)).count()
            },
        ];
        if left != [0; 6] {
            kernel.broken(&format!(
                "left (disks, maps, mounts, states, records, sessions): {left:?}"
            ));
        }
    }
}
