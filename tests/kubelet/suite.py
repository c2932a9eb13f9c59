"""Runs the stories: starts the lab, runs one story after the other in it, and ends all of it.

    suite.py PSO_GEN_BINARY CONTROLPLANE SYSTEM IMAGES PROGRAMS WORK [PART-OF-A-STORY'S-NAME...]

A story is a function `test_...(lab)` in a file `test_*.py`. Runs in mount and network namespaces of its own: see `run`.
"""

import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).parent
# What a test says when something is not as it should be, and how it waits, is that of the other tests of apps.
sys.path.append(str(HERE.parent / "apps"))

from app import App
from cluster import SIMULATOR_PORT, Cluster, waited
from failure import Failure, expect
from file_systems import FileSystems
from machine import ARRAYS, CONTROL, Node, build_network
from names import Names


class Lab:
    """The servers of a run, and the apps that stories share."""

    def __init__(self, binary, controlplane, system, images, programs, work):
        self.binary, self.folder = os.path.abspath(binary), pathlib.Path(work)
        self.controlplane = controlplane
        self.node_of = (system, images, programs, self.binary, self.folder / "node")
        self.processes, self.apps = [], {}
        self.file_systems = self.node = None

    def note(self, text):
        print(f"    {text}", flush=True)

    def spawn(self, name, words, **environment):
        """Starts a server, and returns the first line that it prints."""
        log = open(self.folder / f"{name}.log", "wb")
        words = ["setpriv", "--pdeathsig", "TERM", *words]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                                   env=os.environ | environment)
        self.processes.append(process)
        line = process.stdout.readline().strip()
        expect(line, f"{name} has ended: {(self.folder / f'{name}.log').read_text()[-2000:]}")
        return line

    def start(self):
        """Starts all of it, up to the rendered platform."""
        began = time.monotonic()
        build_network()
        # The API server calls kubelet by its address, since no DNS server has the node's name.
        kubeconfig = self.spawn("controlplane", [HERE.parent / "controlplane" / "start", "--dir", self.folder / "controlplane",
                                                 "--address", CONTROL], CONTROLPLANE=self.controlplane,
                                APISERVER_FLAGS="--kubelet-preferred-address-types=InternalIP")
        simulated = json.loads(self.spawn("simulator", [
            self.binary, "simulate", "--format", "json", "--address", ARRAYS, "--port", str(SIMULATOR_PORT), "--nfs-address", ARRAYS,
            "--storage-out", self.folder / "storage.pso.yaml"]))
        self.cluster = Cluster(self.binary, self.controlplane, kubeconfig, self.folder)
        self.node = Node(*self.node_of)
        exports = self.node.state / "exports"
        subprocess.run(["mount", "--bind", exports, exports], check=True)
        subprocess.run(["mount", "--make-shared", exports], check=True)
        self.file_systems = FileSystems(simulated, exports)
        self.names = Names(CONTROL, self.cluster.names)
        self.cluster.impersonate(self.node.state / "kubelet.kubeconfig", "system:node:node1", "system:nodes")
        self.cluster.impersonate(self.node.state / "kube-proxy.kubeconfig", "system:kube-proxy")
        self.cluster.register_api()
        self.node.start()
        self.cluster.install_platform(simulated)
        _, took = waited(120, self.cluster.node_is_ready, "the node is Ready")
        self.note(f"the node is Ready after {took:.1f} s, {time.monotonic() - began:.1f} s from the start")
        waited(120, self.platform_is_ready, "the provisioner's pods are Ready")
        self.note(f"the provisioner's pods are Ready {time.monotonic() - began:.1f} s from the start")

    def platform_is_ready(self):
        status = self.cluster.read("/apis/apps/v1/namespaces/pso-system/deployments/pso-gen-provisioner")["status"]
        return status.get("readyReplicas", 0) == 2 and status.get("unavailableReplicas", 0) == 0

    def app(self, kind, name, namespace, **spec):
        """Returns an app that stories share; the first one to ask installs it."""
        if name not in self.apps:
            self.apps[name] = App(self, kind, name, namespace, **spec)
            self.apps[name].apply()
            self.apps[name].wait("installed and Ready")
        return self.apps[name]

    def noted(self):
        """Returns what the stand-ins have noted: installations, upgrades, jobs."""
        log = self.node.state / "stand-in" / "log"
        return log.read_text().splitlines() if log.exists() else []

    def end(self):
        if self.node:
            self.node.cut_power()
            self.node.remove()
        if self.file_systems:
            self.file_systems.end()
        for process in reversed(self.processes):
            process.terminate()
            process.wait()


def stories():
    """Yields name and function of every story, in the order of the files."""
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in vars(module).items():
            if name.startswith("test_"):
                yield f"{path.stem[5:].split('_', 1)[1]}: {name[5:].replace('_', ' ')}", function


def main():
    *lab, work = sys.argv[1:7]
    parts = sys.argv[7:]
    chosen = [(name, story) for name, story in stories() if not parts or any(part in name for part in parts)]
    if not chosen:
        print(f"no story has one of {parts} in its name")
        return 2
    # The node and the servers end with this run, also when it is ended from outside.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = []
    began = time.monotonic()
    lab = Lab(*lab, work)
    try:
        lab.start()
        for name, story in chosen:
            print(f"        {name}", flush=True)
            at = time.monotonic()
            try:
                story(lab)
                print(f"good    {name}  {time.monotonic() - at:.1f} s", flush=True)
            except (Failure, OSError, subprocess.SubprocessError) as error:
                failed.append(name)
                place = traceback.extract_tb(error.__traceback__)
                line = next((f"{each.filename.rsplit('/', 1)[-1]}:{each.lineno}" for each in reversed(place) if "/test_" in each.filename), "")
                print(f"FAILED  {name}  {time.monotonic() - at:.1f} s\n  {line}: {error}", flush=True)
            if lab.file_systems.error:
                print(f"FAILED  the folders that stand for file systems no longer follow: {lab.file_systems.error}")
                failed.append(name)
                break
    finally:
        lab.end()
    print(f"{len(chosen) - len(failed)} of {len(chosen)} stories are good, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
