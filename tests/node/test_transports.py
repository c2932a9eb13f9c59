"""NVMe/TCP, CHAP, and file systems over NFS."""

import subprocess

from kubelet import refused
from lab import check, until
from served_array import NQN, PORTS
from test_faults import active_paths

GIB = 1 << 30


def test_nvme_over_tcp(lab):
    node, controller = lab.node("node3", modules="nvme_tcp"), lab.controller
    volume, other = controller.create(GIB), controller.create(GIB, "xfs")
    path = node.start_pod(controller, volume)
    check(volume.published["transport"] == "nvme-tcp", f"the transport: {volume.published}")
    node.machine.shell(f"echo kept > {path}/file; sync -f {path}")
    second = node.start_pod(controller, other, "pod-2")
    node.machine.shell(f"echo other > {second}/file; sync -f {second}")
    controller.expand(volume, 2 * GIB)
    check(node.expand(volume) == 2 * GIB, "the namespace has its new size")
    node.machine.link(1, False)
    try:
        node.machine.shell(f"echo one path >> {path}/file; sync -f {path}", 240)
    finally:
        node.machine.link(1, True)
    until(90, lambda: live(node) == 2, "both controllers are back")
    node.stop_pod(controller, volume)
    # The kernel removes a namespace when the array reports its end. As long as it is there, the controllers stay.
    until(60, lambda: namespaces(node) == 1, "the namespace is gone")
    check(node.machine.shell(f"cat {second}/file") == "other\n", "the other volume stays")
    node.stop_pod(controller, other, "pod-2")
    node.must_be_clean()
    path = node.start_pod(controller, volume)
    check(node.machine.shell(f"cat {path}/file") == "kept\none path\n", "the file is there")
    node.stop_pod(controller, volume)
    node.must_be_clean()
    leave_together(lab, node)
    lab.drop("node3")


def leave_together(lab, node):
    """The last volume to leave still sees the namespace of another one, which the array disconnects later."""
    controller = lab.controller
    volumes = [controller.create(GIB), controller.create(GIB)]
    for volume in volumes:
        node.start_pod(controller, volume)
    for volume in volumes:
        node.unpublish(volume)
        node.unstage(volume)
    check(live(node) > 0, "the array has namespaces here")
    for volume in volumes:
        controller.detach(volume, node)
    # The node service looks once a minute.
    until(150, lambda: live(node) == 0, "the controllers are disconnected")
    node.must_be_clean()
    # A controller of an admin is none of its business.
    address, name = PORTS[0], NQN
    node.machine.shell(f"nvme connect --transport=tcp --traddr={address} --trsvcid=4420 --nqn={name}")
    volume = volumes[0]
    node.start_pod(controller, volume)
    until(150, lambda: live(node) == 2, "the other port gets a controller")
    node.stop_pod(controller, volume)
    check(live(node) == 1, "the controller of the admin stays")
    node.machine.shell(f"nvme disconnect --nqn={name}")
    node.must_be_clean()


def test_a_password_of_the_node(lab):
    node, controller, array = lab.node(), lab.controller, lab.array
    volume = controller.create(GIB)
    first, second = "correct-horse-9", "rotated-horse-9"
    controller.attach(volume, node)
    array.set_password(node.iqn(), first)
    try:
        refused(node.stage, volume, code="UNAVAILABLE", text="authorization|authentication|log ?in")
        refused(node.stage, volume, secrets={node.name: second}, code="UNAVAILABLE")
        node.stage(volume, secrets={node.name: first})
        path = node.publish(volume)
        node.machine.shell(f"echo kept > {path}/file; sync -f {path}")
        records = node.machine.shell("find /etc/iscsi -type f | xargs grep -l horse | xargs stat -c '%a %n'").splitlines()
        check(len(records) == 2, f"the records of two ports have the password: {records}")
        check(all(line.startswith("600 ") and "/nodes/" in line for line in records), f"and only root reads them: {records}")
        # A stage that takes long goes on with one path.
        until(150, lambda: active_paths(node) == 2, "both paths are there")
        # A session that was lost logs in again by its record.
        node.machine.link(1, False)
        try:
            node.machine.shell(f"echo again >> {path}/file; sync -f {path}", 240)
        finally:
            node.machine.link(1, True)
        until(150, lambda: logged_in(node) == 2, "both sessions are back")
        # Another password: the sessions stay, and the next stage writes it into the records.
        array.set_password(node.iqn(), second)
        node.stage(volume, secrets={node.name: second})
        check(logged_in(node) == 2, "the sessions stay")
        check(node.machine.shell("grep -rl rotated /etc/iscsi | wc -l").strip() == "2", "both records have it")
        check("horse" not in node.log(), "no password is in the log")
        node.unpublish(volume)
        node.unstage(volume)
        check("horse" not in node.machine.shell("grep -rh horse /etc/iscsi || true"), "no password is left")
        node.stage(volume, secrets={node.name: second})
        check(node.machine.shell(f"cat {node.publish(volume)}/file") == "kept\nagain\n", "the file is there")
        node.stop_pod(controller, volume)
    finally:
        array.set_password(node.iqn(), None)


def logged_in(node):
    return int(node.machine.shell("cat /sys/class/iscsi_session/*/state 2> /dev/null | grep -c LOGGED_IN || true"))


def live(node):
    return int(node.machine.shell("cat /sys/class/nvme/*/state 2> /dev/null | grep -c live || true"))


def namespaces(node):
    return int(node.machine.shell("ls /sys/class/nvme-subsystem/*/ | grep -cE '^nvme[0-9]+n[0-9]+$' || true"))


def test_a_file_system_is_mounted_as_its_class_says(lab):
    node = lab.node()
    lab.array.create_files("files1", GIB)
    document = lab.folder / "storage.pso.yaml"
    rendered = subprocess.run([lab.binary, "render", document], check=True, capture_output=True, text=True).stdout
    pure_file = next(each for each in rendered.split("---\n") if "\n  name: pure-file\n" in each)
    lines = pure_file.split("mountOptions:\n")[1].splitlines()
    options = ",".join(line[2:] for line in lines[: next(at for at, line in enumerate(lines) if line[:2] != "- ")])
    check("nfsvers=4.1" in options and "hard" in options, f"the class has its mount options: {options}")
    # Two pods, each with a mount of its own, as kubelet does it.
    for pod in ("pod-1", "pod-2"):
        node.machine.shell(f"mkdir -p /mnt/{pod}; mount -t nfs -o {options} {PORTS[0]}:/files1 /mnt/{pod}")
    node.machine.shell("echo shared > /mnt/pod-1/file; test $(cat /mnt/pod-2/file) = shared")
    # A server that is away holds up a write, and loses none.
    node.machine.link(1, False)
    try:
        node.machine.shell("(echo waited > /mnt/pod-1/waited; sync -f /mnt/pod-1) > /dev/null 2>&1 & sleep 5")
    finally:
        node.machine.link(1, True)
    node.machine.shell("until [ \"$(cat /mnt/pod-2/waited)\" = waited ]; do sleep 1; done; umount /mnt/pod-1 /mnt/pod-2", 180)
    check(lab.array.machine.shell("cat /data/files/files1/waited") == "waited\n", "the array has the file")
