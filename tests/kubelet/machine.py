"""The node: containerd, kubelet and kube-proxy in namespaces of their own, with a Debian of their own. Knows nothing of apps."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

from failure import expect, until

HERE = pathlib.Path(__file__).parent
NAME, ADDRESS = "node1", "10.77.0.21"
CONTROL, ARRAYS = "10.77.0.1", "10.77.0.10"
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def build_network():
    """Creates the lab's network in this network namespace: what is not a pod has an address on one bridge."""
    for words in (
        ["link", "set", "lo", "up"],
        ["link", "add", "lab", "type", "bridge"],
        *(["address", "add", f"{address}/24", "dev", "lab"] for address in (CONTROL, ARRAYS, ADDRESS)),
        ["link", "set", "lab", "up"],
        # Kube-proxy leads from there to pods, once the kernel has found any way at all.
        ["route", "add", "10.96.0.0/16", "dev", "lab"],
    ):
        subprocess.run(["ip", *words], check=True)
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


class Node:
    """The node. `state` is what outlives a power cut."""

    def __init__(self, system, images, programs, binary, state):
        self.system, self.state = system, pathlib.Path(state)
        self.cgroup = f"pso-kubelet-{os.getpid()}"
        self.process = None
        for name in ("kubelet", "cni", "log", "varlog", "exports/.rules", "stand-in", "root"):
            (self.state / name).mkdir(parents=True)
        # What is unpacked is only read, so that links to it will do; what containerd changes is copied.
        store = self.state / "containerd"
        subprocess.run(["cp", "-a", "--link", images, store], check=True)
        for path in store.rglob("*.db"):
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)
        for name, source in (("programs", programs), ("pso-gen", binary)):
            (self.state / name).write_bytes(pathlib.Path(source).read_bytes())
            (self.state / name).chmod(0o755)
        # Programs of all users note there what they did: each file that is made can be written by all.
        shared = self.state / "stand-in"
        shared.chmod(0o777)
        everything = b"".join(tag + b"\x07\x00\xff\xff\xff\xff" for tag in (b"\x01\x00", b"\x04\x00", b"\x20\x00"))
        os.setxattr(shared, "system.posix_acl_default", b"\x02\x00\x00\x00" + everything)

    def start(self):
        """Switches the node on."""
        for hierarchy in hierarchies():
            (hierarchy / self.cgroup).mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (hierarchy / name).exists() and (hierarchy / self.cgroup / name).exists():
                    (hierarchy / self.cgroup / name).write_text((hierarchy / name).read_text())
        # The node ends with this process, however that one ends.
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
                 "--propagation", "slave", HERE / "node" / "enter", self.system, self.state, self.cgroup]
        log = open(self.state / "log" / "init", "ab")
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def first(self):
        """The node's first process, as seen from outside."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return until(lambda: children.read_text().split(), "process of the node")[0]

    def cut_power(self):
        """Ends all processes of the node at once, and forgets what only its memory had."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self.first), signal.SIGKILL)
        self.process.wait()
        self.process = None
        self._sweep()

    def _sweep(self):
        """Removes the cgroups of dead processes: kubelet waits a second for each that is there after a boot."""
        end = time.monotonic() + 20
        for hierarchy in hierarchies():
            folders = [path for path, _, _ in os.walk(hierarchy / self.cgroup, topdown=False)]
            for path in folders:
                while True:
                    try:
                        os.rmdir(path)
                        break
                    except FileNotFoundError:
                        break
                    except OSError:
                        # The last process is not gone yet.
                        expect(time.monotonic() < end, f"a cgroup of the node stays: {path}")
                        time.sleep(0.05)

    def remove(self):
        """Removes the cgroups that the node was in."""
        for hierarchy in hierarchies():
            with contextlib.suppress(FileNotFoundError):
                (hierarchy / self.cgroup).rmdir()

    def run(self, *words):
        """Runs a command on the node and returns its output."""
        enter = ["nsenter", "--target", self.first, "--mount", "--pid", "--uts", "--ipc", "--root", "--wd=/"]
        done = subprocess.run([*enter, *words], capture_output=True, text=True, timeout=60, check=False)
        expect(done.returncode == 0, f"{words} on the node: exit code {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def kill(self, program):
        """Ends kubelet or containerd as the kernel ends a process; its keeper starts it again."""
        self.run("sh", "-c", f"kill -9 $(cat /run/{program}.pid)")


def hierarchies():
    """Returns the roots of the cgroups of this machine: of version 1 one for each controller and one for none, of version 2 one."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    found = [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]
    return [path for path in found if (path / "cgroup.procs").exists()]
