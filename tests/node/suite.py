"""Runs the stories: boots the machines, serves the simulated arrays, and ends all of it.

    suite.py PSO_GEN_BINARY IMAGES [PART-OF-A-STORY'S-NAME...]

A story is a function `test_...(lab)` in a file `test_*.py`. All share the machines, and each leaves its node clean; after
one that fails, the nodes are booted anew. Runs in a network namespace of its own: see `run`.
"""

import contextlib
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback

from served_array import PORTS, Array
from kubelet import CallError, Controller, Node
from lab import Failure, Machine, build_networks, until

HERE = pathlib.Path(__file__).parent
ARRAY_MODULES = "target_core_mod,target_core_iblock,iscsi_target_mod,nvmet,nvmet_tcp,xfs,loop"
# Numbers of the machines, which are the last byte of their addresses.
NUMBERS = {"array": 10, "node1": 21, "node2": 22, "node3": 23}


def stories(kind="test"):
    """Yields name and function of every story, in the order of the files."""
    for path in sorted(HERE.glob(f"{kind}_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in vars(module).items():
            if name.startswith("test_"):
                yield f"{path.stem.split('_', 1)[1]}: {name[5:].replace('_', ' ')}", function


class Lab:
    """The machines and services of a run."""

    def __init__(self, binary, images, folder):
        self.binary, self.images, self.folder = binary, images, pathlib.Path(folder)
        self.machines, self.processes, self.nodes = {}, [], {}
        program = self.folder / "program"
        program.mkdir()
        subprocess.run(["strip", "-o", program / "pso-gen", binary], check=True)
        self.program = self.folder / "program.img"
        size = (program / "pso-gen").stat().st_size * 3 // 2 + (16 << 20)
        subprocess.run(["truncate", "--size", str(size), self.program], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", program, self.program], check=True)

    def start(self):
        """Boots the array and the first node, and starts the simulator and the CSI controller."""
        build_networks()
        disk = self.folder / "array.img"
        subprocess.run(["truncate", "--size", "64G", disk], check=True)
        self.boot("array", disk=disk, modules=ARRAY_MODULES, memory=1024)
        self.boot("node1")
        document, state = self.folder / "storage.pso.yaml", self.folder / "arrays.json"
        with open(state, "wb") as out:
            self.spawn("simulator", "simulate", "--format", "json", "--storage-out", document,
                       *(word for port in PORTS for word in ("--iscsi-port", port, "--nvme-port", port)), "--nfs-address", PORTS[0], out=out)
        until(30, lambda: state.read_text().endswith("\n"), "the simulator listens")
        socket = self.folder / "controller.sock"
        self.spawn("controller", "csi", "--socket", socket, "--config", document,
                   "--cluster-uid", "0f8fad5b-d9cb-469f-a165-70867728950e")
        until(30, socket.exists, "the controller listens")
        print(f"array: up after {self.machines['array'].wait():.0f} s", flush=True)
        self.array = Array(self.machines["array"], json.loads(state.read_text()))
        self.controller = Controller(socket, self.array)

    def spawn(self, name, *words, out=None):
        log = open(self.folder / f"{name}.log", "wb")
        self.processes.append(subprocess.Popen([self.binary, *words], stdin=subprocess.DEVNULL, stdout=out or log, stderr=log))

    def boot(self, name, **more):
        if name not in self.machines:
            self.machines[name] = Machine(self.folder, self.images, name, NUMBERS[name], binary=self.program, **more)
        return self.machines[name]

    def node(self, name="node1", **more):
        """Returns a node that runs; it is booted if it does not."""
        if name not in self.nodes:
            machine = self.boot(name, **more)
            print(f"{name}: up after {machine.wait():.0f} s", flush=True)
            self.nodes[name] = Node(machine)
        return self.nodes[name]

    def drop(self, name):
        """Switches a node off."""
        self.nodes.pop(name, None)
        self.machines.pop(name).end()

    def report(self):
        """Prints what the nodes and their kernels have to say."""
        for name, node in self.nodes.items():
            try:
                print(f"--- {name}: node service\n{node.log()[-6000:]}")
                print(f"--- {name}: kernel\n{node.machine.run('dmesg | tail -n 40; multipath -ll; cat /proc/mounts | grep kubelet')[1]}")
            except OSError as error:
                print(f"--- {name}: {error}")

    def keep(self, prefix=""):
        """Copies all logs to the folder that the environment names, if it does."""
        if not (keep := os.environ.get("KEEP_LOGS")):
            return
        pathlib.Path(keep).mkdir(parents=True, exist_ok=True)
        for name, node in self.nodes.items():
            with contextlib.suppress(OSError):
                pathlib.Path(keep, f"{prefix}{name}.node.log").write_text(node.log())
        for path in [*self.folder.glob("*.log"), *self.folder.glob("*.console")]:
            pathlib.Path(keep, prefix + path.name).write_bytes(path.read_bytes())

    def end(self):
        for machine in self.machines.values():
            machine.end()
        for process in self.processes:
            process.terminate()
            process.wait()


def main():
    binary, images, *parts = sys.argv[1:]
    every = [*stories(), *(stories("bench") if parts else [])]
    chosen = [(name, story) for name, story in every if not parts or any(part in name for part in parts)]
    if not chosen:
        print(f"no story has one of {parts} in its name")
        return 2
    failed = []
    with tempfile.TemporaryDirectory(prefix="pso-node-") as folder:
        lab = Lab(binary, images, folder)
        try:
            lab.start()
            for name, story in chosen:
                began = time.monotonic()
                try:
                    story(lab)
                    for node in lab.nodes.values():
                        node.must_be_clean()
                    print(f"good    {name}  {time.monotonic() - began:.1f} s", flush=True)
                except (Failure, CallError, OSError) as error:
                    failed.append(name)
                    place = traceback.extract_tb(error.__traceback__)
                    line = next((f"{each.filename.rsplit('/', 1)[-1]}:{each.lineno}" for each in reversed(place) if "/test_" in each.filename), "")
                    print(f"FAILED  {name}  {time.monotonic() - began:.1f} s\n  {line}: {error}", flush=True)
                    lab.report()
                    lab.keep(f"failed-{len(failed)}-")
                    for each in list(lab.nodes):
                        lab.drop(each)
        finally:
            lab.keep()
            lab.end()
    print(f"{len(chosen) - len(failed)} of {len(chosen)} stories are good")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
