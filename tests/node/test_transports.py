"""NVMe/TCP, and file systems over NFS."""

from lab import check

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
    node.stop_pod(controller, volume)
    check(node.machine.shell(f"cat {second}/file") == "other\n", "the other volume stays")
    node.stop_pod(controller, other, "pod-2")
    node.must_be_clean()
    path = node.start_pod(controller, volume)
    check(node.machine.shell(f"cat {path}/file") == "kept\none path\n", "the file is there")
    node.stop_pod(controller, volume)
    node.must_be_clean()
    lab.drop("node3")
