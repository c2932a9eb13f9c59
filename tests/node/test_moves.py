"""Volumes that move from one node to another."""

from lab import check

SIZE = 64 << 20


def test_a_paused_machine_cannot_write_after_its_volume_has_moved(lab):
    first, second, controller = lab.node(), lab.node("node2"), lab.controller
    volume = controller.create(SIZE)
    path = first.start_pod(controller, volume)
    # The pod writes all the time, and the machine stops in the middle of it.
    first.machine.shell(
        f"(while :; do date +%s.%N; done | dd of={path}/stream bs=64 oflag=append conv=notrunc status=none) < /dev/null > /dev/null 2>&1 &"
    )
    first.machine.shell(f"echo first > {path}/file; sync -f {path}")
    first.machine.qmp("stop")
    # The out-of-service taint: the attacher disconnects the node, and the volume is attached to the other one.
    controller.detach(volume, first)
    path = second.start_pod(controller, volume)
    check(second.machine.shell(f"cat {path}/file") == "first\n", "what was written is there")
    second.machine.shell(f"echo second > {path}/file; rm -f {path}/stream; sync -f {path}")
    before = lab.array.digest(volume)
    first.machine.qmp("cont")
    code, text = first.machine.run(f"echo lost > {first_path(first, volume)}/file; sync -f {first_path(first, volume)}", 240)
    check(code != 0, f"the write of the old node fails: {text}")
    check(lab.array.digest(volume) == before, "the array has not changed the volume")
    check(second.machine.shell(f"sync; cat {path}/file") == "second\n", "the new node's content stays")
    second.stop_pod(controller, volume)
    first.machine.shell("pkill dd || true")
    first.unpublish(volume)
    first.unstage(volume)
    lab.drop("node2")


def first_path(node, volume):
    return volume.target("pod-1")
