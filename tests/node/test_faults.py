"""What goes wrong between a node and its array, and on the node itself."""

import contextlib
import threading
import time

from kubelet import CallError, refused
from lab import Failure, check, until

GIB = 1 << 30


def test_a_lun_leads_to_another_volume_after_a_disconnect_without_unstage(lab):
    node, controller = lab.node(), lab.controller
    old, new = controller.create(GIB), controller.create(GIB)
    path = node.start_pod(controller, old)
    node.machine.shell(f"echo old > {path}/file; sync -f {path}")
    lun = int(old.published["lun"])
    # The node was cut off: it has the volume mounted, and the array has ended the connection.
    controller.detach(old, node)
    lab.array.connect_at(new, node, lun)
    controller.attach(new, node)
    check(int(new.published["lun"]) == lun, "the new volume has the LUN of the old one")
    node.stage(new)
    path = node.publish(new, "pod-2")
    check(node.machine.shell(f"ls {path}").split() == ["lost+found"], "the new volume is empty")
    check(not node.paths(old), "no disk is taken for the old volume any more")
    node.machine.shell(f"echo new > {path}/file; sync -f {path}")
    # kubelet comes back, and ends the old pod.
    node.unpublish(old)
    node.unstage(old)
    check(node.machine.shell(f"cat {path}/file") == "new\n", "the new volume is as it was")
    node.stop_pod(controller, new, "pod-2")
    path = node.start_pod(controller, old)
    check(node.machine.shell(f"cat {path}/file") == "old\n", "the old volume is as it was")
    node.stop_pod(controller, old)


def test_a_path_is_lost_and_comes_back(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB)
    path = node.start_pod(controller, volume)
    node.machine.shell(f"echo before > {path}/file; sync -f {path}")
    # A stage that takes long goes on with one path.
    until(150, lambda: active_paths(node) == 2, "both paths are there")
    node.machine.link(1, False)
    try:
        node.machine.shell(f"echo without > {path}/file; sync -f {path}", 120)
        check(not node.stats(volume)["volume_condition"].get("abnormal"), "a volume with one path is healthy")
    finally:
        node.machine.link(1, True)
    until(90, lambda: active_paths(node) == 2, "both paths are back")
    node.machine.link(2, False)
    try:
        node.machine.shell(f"echo again > {path}/file; sync -f {path}", 120)
    finally:
        node.machine.link(2, True)
    until(90, lambda: active_paths(node) == 2, "both paths are back")
    node.stop_pod(controller, volume)


def test_calls_are_not_refused_while_paths_are_healed(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB)
    node.start_pod(controller, volume)
    # A stage that takes long goes on with one path.
    until(150, lambda: active_paths(node) == 2, "both paths are there")
    node.service.aborted = 0
    node.machine.link(1, False)
    try:
        # The node service looks once a minute, and a disk that does not answer takes it 20 s.
        end = time.monotonic() + 150
        while time.monotonic() < end:
            node.publish(volume, "pod-2")
            node.unpublish(volume, "pod-2")
    finally:
        node.machine.link(1, True)
    check(node.service.aborted == 0, f"{node.service.aborted} calls were refused")
    until(90, lambda: active_paths(node) == 2, "both paths are back")
    node.stop_pod(controller, volume)


def active_paths(node):
    return node.machine.shell("multipathd show paths format '%w %t' | grep -c 'active'  || true").strip() == "2" and 2


def test_a_volume_is_staged_with_one_path_and_gets_the_other_later(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB)
    node.machine.link(2, False)
    try:
        path = node.start_pod(controller, volume)
        check(len(node.paths(volume)) == 1, "one path")
    finally:
        node.machine.link(2, True)
    node.machine.shell(f"echo kept > {path}/file; sync -f {path}")
    until(150, lambda: len(node.paths(volume)) == 2, "the node service adds the other path")
    until(30, lambda: active_paths(node) == 2, "the map has both paths")
    node.stop_pod(controller, volume)


def test_all_paths_are_lost_and_the_pod_is_started_again(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB)
    path = node.start_pod(controller, volume)
    node.machine.shell(f"echo kept > {path}/file; sync -f {path}")
    for network in (1, 2):
        node.machine.link(network, False)
    try:
        code, text = node.machine.run(f"dd if=/dev/zero of={path}/lost bs=1M count=4 conv=fsync", 240)
        check(code != 0, f"a write without paths ends with an error: {text}")
        condition = node.stats(volume)["volume_condition"]
        check(condition.get("abnormal"), f"the condition reports it: {condition}")
    finally:
        for network in (1, 2):
            node.machine.link(network, True)
    until(120, lambda: active_paths(node) == 2, "both paths are back")
    node.unpublish(volume)
    node.stage(volume)
    path = node.publish(volume)
    check(node.machine.shell(f"cat {path}/file; echo after > {path}/after; sync -f {path}") == "kept\n", "the file system works")
    node.stop_pod(controller, volume)


def test_a_volume_is_unstaged_while_its_array_is_unreachable(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB)
    path = node.start_pod(controller, volume)
    node.machine.shell(f"echo kept > {path}/file; sync -f {path}")
    for network in (1, 2):
        node.machine.link(network, False)
    try:
        until(90, lambda: not node.machine.shell("multipathd show paths format %t | grep active || true"), "no path is active")
        node.unpublish(volume)
        again(60, node.unstage, volume)
    finally:
        for network in (1, 2):
            node.machine.link(network, True)
    controller.detach(volume, node)
    path = node.start_pod(controller, volume)
    check(node.machine.shell(f"cat {path}/file") == "kept\n", "the file is there")
    node.stop_pod(controller, volume)


def again(seconds, call, *arguments):
    """Repeats a call as kubelet does, until it succeeds."""
    errors = []

    def succeeds():
        try:
            call(*arguments)
            return True
        except CallError as error:
            errors.append(str(error))
            return False

    try:
        until(seconds, succeeds, call.__name__)
    except Failure as failure:
        raise Failure(f"{failure}: {errors[-1]}") from None


# Effects without which no volume is staged, published and unstaged. More may happen: multipathd is sometimes faster than
# the node service.
STAGING = {"WriteState", "WriteRecord", "LogIn", "Scan", "Inquire", "RescanDisk", "Probe", "MakeFileSystem", "RecordFormatted",
           "SealFolder", "Mount", "BindMount"}
UNSTAGING = {"StopQueueing", "Unmount", "FlushBuffers", "FlushMap", "DeleteDisk", "LogOut", "RemoveRecord", "UnsealFolder", "RemoveState"}


def test_the_node_service_is_killed_after_each_effect(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB)
    controller.attach(volume, node)

    def start():
        again(600, node.stage, volume)
        again(600, node.publish, volume)

    def stop():
        again(600, node.unpublish, volume)
        again(600, node.unstage, volume)

    killed = node.killed_after_effects(start)
    check(STAGING <= set(killed), f"the node service was killed after {killed}")
    path = volume.target("pod-1")
    node.machine.shell(f"echo kept > {path}/file; sync -f {path}")
    killed += node.killed_after_effects(stop)
    check(UNSTAGING <= set(killed), f"the node service was killed after {killed}")
    print(f"    {len(killed)} kills: {' '.join(killed)}", flush=True)
    node.must_be_clean()
    controller.detach(volume, node)
    path = node.start_pod(controller, volume)
    check(node.machine.shell(f"cat {path}/file") == "kept\n", "the file is there")
    node.stop_pod(controller, volume)


def cut_mkfs_off(node, volume):
    """Kills the node service while it stages a volume, and mkfs with it."""

    def work():
        with contextlib.suppress(CallError):
            node.stage(volume)

    thread = threading.Thread(target=work)
    thread.start()
    node.machine.shell("until pgrep mkfs > /dev/null; do :; done; kill -9 $(cat /run/node-service.pid); pkill -9 mkfs")
    thread.join(150)
    node.wait()


def test_a_file_system_whose_creation_was_cut_off_is_created_again(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(64 * GIB)
    controller.attach(volume, node)
    cut_mkfs_off(node, volume)
    # The volume is on this node alone, and this node began to format it.
    again(120, node.stage, volume)
    path = node.publish(volume)
    node.machine.shell(f"echo kept > {path}/file; sync -f {path}")
    node.stop_pod(controller, volume)


def test_a_volume_whose_record_says_formatted_is_never_formatted(lab):
    node, controller = lab.node(), lab.controller
    volume = controller.create(GIB)
    controller.attach(volume, node)
    volume.published["format"] = "formatted"
    refused(node.stage, volume, text="begins and ends with zeros")
    node.unstage(volume)
    node.must_be_clean()
    controller.detach(volume, node)
