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
        let mut world = self.world();
        let path = target(name, "pod");
        let Some(mount) = world.top(&path).cloned() else {
            return match world.nodes.get(&path) {
                Some(PathNode::Folder { is_sealed: true }) | None => Err("EACCES".to_owned()),
                _ => world.broken("a pod writes to the node's own disk"),
            };
        };
        let number = mount.device.unwrap_or(mount.number);
        if mount.read_only || world.aborted.contains(&number) {
            return Err("EROFS".to_owned());
        }
        let Some(reached) = world.behind(number) else {
            if mount.device.is_none() {
                world.aborted.insert(number);
            }
            return Err("EIO".to_owned());
        };
        if reached != serial(name) {
            world.broken("a pod writes to another volume");
        }
        world.volume(&reached).data = Some(text.to_owned());
        if mount.device.is_some() {
            world.dirty.insert(number);
        }
        Ok(())
    }

    pub(crate) fn must_be_mounted(&self, name: &str, path: &Path) {
        let world = self.world();
        let Some(mount) = world.top(path) else { world.broken("success without a mount") };
        let number = mount.device.unwrap_or(mount.number);
        let mut numbers = world.maps.values().map(|map| map.number);
        let mut disks = world.disks.values().map(|disk| disk.number);
        if !numbers.any(|it| it == number) && !disks.any(|it| it == number) {
            world.broken("success with a device that is none of the array's");
        }
        if world.behind(number).is_some_and(|reached| reached != serial(name)) {
            world.broken("success with another volume");
        }
        if mount.device.is_none() && (mount.read_only || world.aborted.contains(&number)) {
            world.broken("success with a read-only file system");
        }
        let size = world.maps.values().find(|map| map.number == number).map(|map| map.size);
        let size =
            size.or_else(|| world.disks.values().find(|d| d.number == number).map(|d| d.size));
        let volume = &world.volumes[&serial(name)];
        if mount.device.is_none() && size.is_some_and(|size| volume.fs_size < size) {
            world.broken("success with a file system that is smaller than its device");
        }
        if let Some(map) = world.maps.values().find(|map| map.number == number) {
            let identity = Some(wwid(world.transport, &serial(name)));
            let is_ours =
                |slave: &String| world.disks.get(slave).is_some_and(|it| it.wwid == identity);
            if !map.slaves.iter().all(is_ours) {
                world.broken("success with a path of another volume");
            }
        }
    }

    /// Nothing of a volume is left, and of the array nothing when it was the last one.
    pub(crate) fn must_be_gone(&self, name: &str) {
        let world = self.world();
        let identity = Some(wwid(world.transport, &serial(name)));
        if world.top(&staging(name)).is_some() {
            world.broken("unstaged, and still mounted");
        }
        if world.transport != BlockTransport::NvmeTcp
            && world.disks.values().any(|disk| disk.wwid == identity)
        {
            world.broken("unstaged, and a disk is left");
        }
        if world.maps.values().any(|map| map.uuid == map_uuid(&serial(name))) {
            world.broken("unstaged, and a map is left");
        }
        if world.states.get(&staging(name)).is_some_and(|state| !state.released) {
            world.broken("unstaged, and the state is left");
        }
        if world.nodes.get(&staging(name)) == Some(&PathNode::Folder { is_sealed: true }) {
            world.broken("unstaged, and kubelet cannot remove the folder");
        }
    }

    /// After the last volume nothing is left on the node.
    pub(crate) fn must_be_empty(&self) {
        let world = self.world();
        let is_fc = world.transport == BlockTransport::FibreChannel;
        let left = [
            world.disks.len(),
            world.maps.len(),
            world.mounts.len(),
            world.states.values().filter(|state| !state.released).count(),
            world.records.len(),
            if is_fc {
                0
            } else {
                world.sessions.values().filter(|it| !world.unproven.contains(&it.portal)).count()
            },
        ];
        if left != [0; 6] {
            world.broken(&format!(
                "left (disks, maps, mounts, states, records, sessions): {left:?}"
            ));
        }
    }
}
