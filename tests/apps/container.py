"""One container: as whom it runs, what stands in for its image, and what can be done to it once it runs."""

import os
import pathlib
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass

import yaml

from failure import Failure, expect, expect_equal, until
from rendered import HERE

# What container runtimes leave to a container that drops nothing.
DEFAULT_CAPABILITIES = """CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP
    SETGID SETPCAP SETUID SYS_CHROOT AUDIT_WRITE""".split()
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Ended:
    """How a container ended, and all that it said."""

    code: int
    text: str


class Identity:
    """As whom a container runs, and with which rights: arguments of `setpriv`."""

    def __init__(self, context, fs_group, squashed):
        self.user = context["runAsUser"] if squashed is None else squashed
        self.group = context["runAsGroup"] if squashed is None else squashed
        expect(not (context.get("runAsNonRoot") and self.user == 0), "root, with runAsNonRoot")
        words = context.get("capabilities", {})
        kept = [] if "ALL" in words.get("drop", []) else DEFAULT_CAPABILITIES
        kept = kept + words.get("add", []) if squashed is None else []
        bounding = ",".join(["-all", *(f"+{each.lower()}" for each in kept)])
        groups = ["--clear-groups"] if fs_group is None else ["--groups", str(fs_group)]
        self.arguments = [f"--reuid={self.user}", f"--regid={self.group}", *groups]
        self.arguments += [f"--bounding-set={bounding}", "--inh-caps=-all", "--ambient-caps=-all"]
        if not context.get("allowPrivilegeEscalation", True):
            self.arguments.append("--no-new-privs")


class Image:
    """A stand-in for an image: `image.yaml`, and files in `root/`."""

    def __init__(self, image):
        parts = image.rsplit(":", 1)[0].split("/")[1:]
        home = HERE / "images" / "-".join(part for part in parts if part != "library")
        self.layer = home / "root"
        about = yaml.safe_load((home / "image.yaml").read_text()) or {}
        self.entrypoint = about.get("entrypoint", [])
        self.command = about.get("command", [])
        self.folder = about.get("folder", "/")
        self.modes = about.get("modes", {})

    def unpack(self, upper):
        """Copies the files to the top layer of a root."""
        if self.layer.exists():
            command = ["cp", "-a", "--no-preserve=ownership", f"{self.layer}/.", upper]
            subprocess.run(command, check=True)
        for path, mode in self.modes.items():
            folder = upper / path.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)


class Running:
    """A container that was started."""

    def __init__(self, command, variables, identity, folder, top):
        self.command, self.variables, self.identity = command, variables, identity
        self.folder, self.top = folder, top
        self.log, self.trace = top / "log", top / "trace"

    def begin(self, root, traced):
        """Makes the root and becomes the program."""
        trace = ["strace", "-f", "-qq", "-e", "trace=execve", "-s", "9999", "-o", str(self.trace)]
        become = self._become(["chroot", str(self.top / "root")])
        root.append("exec " + shlex.join([*(trace if traced else []), *become, *self.command]))
        start = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(root)]
        with self.log.open("a") as log:
            # Programs open their standard error again by its path.
            os.fchown(log.fileno(), self.identity.user, self.identity.group)
            self.process = subprocess.Popen(
                start, env=self.variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _become(self, enter):
        return [*enter, "env", f"--chdir={self.folder}", "setpriv", *self.identity.arguments, "--"]

    @property
    def pid(self):
        """The container's first process, as seen from outside."""

        def child():
            expect(self.is_running(), f"{self.command} has ended:\n{self.text()}")
            own = self.process.pid
            return pathlib.Path(f"/proc/{own}/task/{own}/children").read_text().strip()

        return int(until(child, "process"))

    def wait(self, seconds=60):
        """Waits for the end."""
        try:
            return Ended(self.process.wait(seconds), self.text())
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.command} has not ended after {seconds} s:\n{self.text()}") from None

    def is_running(self):
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def text(self):
        """All that it said so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number):
        """Sends its first process a signal, as a node does."""
        os.kill(self.pid, number)

    def kill(self):
        """Ends it as the loss of its node would."""
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, seconds=30):
        """Asks it to end, and returns how it did and after how many seconds."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.wait(seconds), time.monotonic() - began

    def execute(self, command, **more):
        """Runs a command inside, as `kubectl exec` and probes do."""
        pid = str(self.pid)
        enter = ["nsenter", "--target", pid, "--mount", "--pid", f"--root=/proc/{pid}/root"]
        done = subprocess.run(
            self._become(enter) + command,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            **more,
        )
        return Ended(done.returncode, done.stdout)

    def expect_unprivileged(self, user):
        """Fails unless it runs as this user, without any right and any way to one."""
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        expect_equal(status["Uid"].split(), [str(user)] * 4, "the user")
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            expect_equal(int(status[kind], 16), 0, f"{kind} of the process")
        expect_equal(status["NoNewPrivs"], "1", "NoNewPrivs of the process")

    def expect_read_only_root(self):
        """Fails if the root can be written to."""
        mounts = pathlib.Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        root = next(line.split() for line in mounts if line.split()[4] == "/")
        expect(root[-1].split(",")[0] == "ro", "the root can be written to")

    def arguments(self):
        """Returns the arguments of all processes of a traced container."""
        calls = (line.split("execve(", 1) for line in self.trace.read_text().splitlines())
        return [call[1] for call in calls if len(call) == 2]


def arguments_of_all():
    """Returns the arguments of every process on this machine that the test can see, as `ps` does."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # It has ended meanwhile.
    return found
