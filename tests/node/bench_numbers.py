"""How long a stage takes, and how much memory the node service has. On demand only: `run PSO-GEN 'numbers: '`."""

import statistics
import threading
import time

from lab import check

GIB = 1 << 30
COUNTS = (1, 20)


def test_iscsi(lab):
    measure(lab, lab.node(), "iSCSI, 2 paths")


def test_nvme_over_tcp(lab):
    measure(lab, lab.node("node3", modules="nvme_tcp"), "NVMe/TCP, 2 paths")
    lab.drop("node3")


def measure(lab, node, what):
    """Stages volumes one after another, and all at once, and prints the times."""
    controller, machine = lab.controller, node.machine
    print(f"    {what}: memory of the node service without volumes: {memory(node)}", flush=True)
    for count in COUNTS:
        volumes = [controller.create(GIB) for _ in range(count)]
        for volume in volumes:
            controller.attach(volume, node)
        # The first stage creates the file system.
        for step in ("created", "mounted"):
            if step == "mounted":
                for volume in volumes:
                    controller.attach(volume, node)
            times = [timed(lambda volume=volume: node.stage(volume)) for volume in volumes]
            print(f"    {what}: {count} volumes one after another, {step}: {summary(times)}", flush=True)
            print(f"    {what}: memory of the node service with {count} volumes: {memory(node)}", flush=True)
            for volume in volumes:
                node.unstage(volume)
                controller.detach(volume, node)
        if count > 1:
            for volume in volumes:
                controller.attach(volume, node)
            times, began = [None] * count, time.monotonic()
            threads = [threading.Thread(target=together, args=(node, volume, times, at)) for at, volume in enumerate(volumes)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            check(None not in times, "all volumes are staged")
            print(f"    {what}: {count} volumes at once: {summary(times)}, all after {time.monotonic() - began:.1f} s", flush=True)
            for volume in volumes:
                node.unstage(volume)
                controller.detach(volume, node)
        for volume in volumes:
            controller.delete(volume)
    check(machine.run("true")[0] == 0, "the machine answers")


def together(node, volume, times, at):
    times[at] = timed(lambda: node.stage(volume))


def timed(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


def summary(times):
    return f"median {statistics.median(times):.1f} s, longest {max(times):.1f} s"


def memory(node):
    """Returns the memory of the process in MiB: all that is resident, what of it is no file, and the highest so far."""
    text = node.machine.shell("cat /proc/$(cat /run/node-service.pid)/status")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    mib = {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon", "VmHWM")}
    return f"{mib['VmRSS']:.1f} MiB, of which {mib['RssAnon']:.1f} MiB are no file; at most {mib['VmHWM']:.1f} MiB"
