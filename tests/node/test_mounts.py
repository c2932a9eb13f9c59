"""Volumes of one node, from their first mount on."""

from lab import check, until

MIB, GIB = 1 << 20, 1 << 30


def test_written_unstaged_staged_and_read(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB)
    path = node.start_pod(controller, volume)
    # A stage that takes long goes on with one path, and the other one is added within a minute or two.
    until(150, lambda: len(node.paths(volume)) == 2, "two paths")
    node.machine.shell(f"echo kept > {path}/file")
    node.stop_pod(controller, volume)
    node.must_be_clean()
    path = node.start_pod(controller, volume)
    check(node.machine.shell(f"cat {path}/file") == "kept\n", "the file is there again")
    node.stop_pod(controller, volume)


def test_two_volumes_share_the_sessions_of_their_array(lab):
    node, controller = lab.node(), lab.controller
    first, second = controller.create(GIB), controller.create(GIB, "xfs")
    paths = [node.start_pod(controller, volume, pod) for volume, pod in ((first, "pod-1"), (second, "pod-2"))]
    for path in paths:
        node.machine.shell(f"echo {path} > {path}/file; sync -f {path}")
    until(150, lambda: sessions(node) == 2, "one session for each port, whatever the number of volumes")
    node.stop_pod(controller, first, "pod-1")
    check(sessions(node) == 2, "the sessions stay for the other volume")
    node.machine.shell(f"test \"$(cat {paths[1]}/file)\" = {paths[1]}; echo more > {paths[1]}/more; sync -f {paths[1]}")
    node.stop_pod(controller, second, "pod-2")


def sessions(node):
    return int(node.machine.shell("ls /sys/class/iscsi_session | wc -l"))


def size(node, path):
    """Returns the size of a file system in bytes."""
    return int(node.machine.shell(f"stat -f -c '%b %S' {path} | {{ read blocks unit; echo $((blocks * unit)); }}"))


def grow(lab, fs_type):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB, fs_type)
    path = node.start_pod(controller, volume)
    node.machine.shell(f"echo kept > {path}/file")
    check(size(node, path) < GIB, "it begins small")
    # Twice in a row: the second expansion finds what the first one has left.
    for wanted in (2 * GIB, 3 * GIB):
        controller.expand(volume, wanted)
        check(node.expand(volume) == wanted, "the device has its new size")
        check(size(node, path) > wanted * 9 // 10, f"{fs_type} has its new size: {size(node, path)}")
    node.stop_pod(controller, volume)
    controller.expand(volume, 5 * GIB)
    path = node.start_pod(controller, volume)
    check(size(node, path) > 4.5 * GIB, f"{fs_type} was expanded when it was mounted: {size(node, path)}")
    check(node.machine.shell(f"cat {path}/file") == "kept\n", "the file is there")
    node.stop_pod(controller, volume)


def test_ext4_is_expanded_while_it_is_mounted_and_while_it_is_detached(lab):
    grow(lab, "ext4")


def test_xfs_is_expanded_while_it_is_mounted_and_while_it_is_detached(lab):
    grow(lab, "xfs")


def clone(lab, fs_type):
    node, controller = lab.node(), lab.controller
    original = controller.create(GIB, fs_type)
    path = node.start_pod(controller, original)
    node.machine.shell(f"echo first > {path}/file; sync -f {path}")
    snapshot = controller.snapshot(original, "snapshot-00000000-0000-4000-8000-00000000000" + str(len(fs_type)))
    node.machine.shell(f"echo second > {path}/file; sync -f {path}")
    copies = [controller.create(GIB, fs_type, {"snapshot": {"snapshot_id": snapshot}}),
              controller.create(GIB, fs_type, {"volume": {"volume_id": original.handle}})]
    found = []
    for number, copy in enumerate(copies, 2):
        found.append(node.start_pod(controller, copy, f"pod-{number}"))
    texts = [node.machine.shell(f"cat {each}/file").strip() for each in (path, *found)]
    check(texts == ["second", "first", "second"], f"original, snapshot and clone have their own content: {texts}")
    node.machine.shell(f"echo third > {found[1]}/file; sync; test $(cat {path}/file) = second")
    for number, copy in enumerate(copies, 2):
        node.stop_pod(controller, copy, f"pod-{number}")
    node.stop_pod(controller, original)


def test_clones_of_ext4_are_mounted_beside_their_original(lab):
    clone(lab, "ext4")


def test_clones_of_xfs_are_mounted_beside_their_original(lab):
    clone(lab, "xfs")


def test_a_raw_block_volume_is_a_device_in_the_pod(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB, None)
    path = node.start_pod(controller, volume)
    node.machine.shell(f"test -b {path}; printf signed | dd of={path} bs=512 conv=sync oflag=direct status=none")
    controller.expand(volume, 2 * GIB)
    check(node.expand(volume) == 2 * GIB, "the device has its new size")
    node.stop_pod(controller, volume)
    node.must_be_clean()
    path = node.start_pod(controller, volume)
    check(node.machine.shell(f"head --bytes 6 {path}; blockdev --getsize64 {path}") == f"signed{2 * GIB}\n", "signature and size")
    node.stop_pod(controller, volume)


def test_the_host_has_what_volumes_need(lab):
    text = lab.node().machine.shell("/opt/pso-gen/pso-gen node check")
    check(text == "the host has what block volumes need\n", text)
