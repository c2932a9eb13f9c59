"""Machines in qemu, and the networks between them. Knows nothing of volumes.

All run in a network namespace of their own, with three bridges: network 0 carries commands, networks 1 and 2 storage.
Machine N has the address 10.77.NETWORK.N in each, and this process 10.77.0.1.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time

NETWORKS = (0, 1, 2)
COMMANDS = 7000


class Failure(Exception):
    """What a story did not find as it should be."""


def check(condition, text):
    """Fails unless a condition holds."""
    if not condition:
        raise Failure(text)


def until(seconds, look, what):
    """Waits until a function returns something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def build_networks():
    """Creates the bridges. This process has an address in network 0 alone."""
    ip("link", "set", "lo", "up")
    for network in NETWORKS:
        ip("link", "add", f"net{network}", "type", "bridge")
        ip("link", "set", f"net{network}", "up")
    ip("address", "add", "10.77.0.1/24", "dev", "net0")


class Machine:
    """One virtual machine; it runs from the time of its creation."""

    def __init__(self, folder, images, name, number, *, memory=768, disk=None, modules="", binary=None):
        self.name, self.number = name, number
        self.address = f"10.77.0.{number}"
        self.console = pathlib.Path(folder, f"{name}.console")
        self.qmp_path = str(pathlib.Path(folder, f"{name}.qmp"))
        pathlib.Path(self.qmp_path).unlink(missing_ok=True)
        words = [
            "qemu-system-x86_64", "-name", name, "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=256",
            "-cpu", "max", "-smp", "1", "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-serial", f"file:{self.console}", "-qmp", f"unix:{self.qmp_path},server=on,wait=off",
            "-kernel", f"{images}/vmlinuz", "-initrd", f"{images}/initrd",
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on net.ifnames=0 "
            f"cgroup_disable=memory machine={name} number={number}" + (f" modules={modules}" if modules else ""),
            "-device", "virtio-rng-pci",
            "-drive", f"file={images}/root.img,format=raw,if=virtio,snapshot=on,cache=unsafe",
            "-drive", f"file={binary},format=raw,if=virtio,readonly=on",
        ]
        if disk:
            words += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe,discard=unmap"]
        for network in NETWORKS:
            tap = self.tap(network)
            ip("tuntap", "add", "dev", tap, "mode", "tap")
            ip("link", "set", tap, "master", f"net{network}", "up")
            words += [
                "-netdev", f"tap,id=n{network},ifname={tap},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=n{network},romfile=,mac=52:54:00:00:{number:02x}:{network:02x}",
            ]
        self.started = time.monotonic()
        self.log = open(pathlib.Path(folder, f"{name}.qemu"), "wb")
        environment = os.environ | {"TMPDIR": str(folder)}
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment)

    def tap(self, network):
        return f"{self.name}-{network}"

    def wait(self, seconds=240):
        """Waits until the machine takes commands."""

        def is_up():
            if self.process.poll() is not None:
                raise Failure(f"{self.name}: qemu has ended: {self.console.read_text(errors='replace')[-2000:]}")
            try:
                return self.run("true", 10)[0] == 0
            except OSError:
                return False

        until(seconds, is_up, f"{self.name} takes commands")
        return time.monotonic() - self.started

    def run(self, script, seconds=120):
        """Runs a script in the machine, and returns its exit code and output."""
        with socket.create_connection((self.address, COMMANDS), timeout=5) as connection:
            connection.settimeout(seconds)
            connection.sendall(script.encode())
            connection.shutdown(socket.SHUT_WR)
            data = b""
            # The connection may stay open after the last line.
            while not (found := re.search(rb"\n?exit code of the script: (\d+)\n$", data)):
                part = connection.recv(1 << 16)
                if not part:
                    raise OSError(f"{self.name}: no end of {script[:60]!r}: {data[-200:]!r}")
                data += part
        return int(found[1]), data[: found.start()].decode(errors="replace")

    def shell(self, script, seconds=120):
        """Runs a script that has to succeed, and returns its output."""
        code, text = self.run("set -e\n" + script, seconds)
        if code:
            raise Failure(f"{self.name}: exit code {code} of {script.strip()!r}: {text.strip()[-1500:]}")
        return text

    def qmp(self, command):
        """Sends one command to qemu."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.qmp_path)
            stream = connection.makefile("rw")
            stream.readline()
            for each in ("qmp_capabilities", command):
                stream.write(json.dumps({"execute": each}) + "\n")
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline())):
                    check("error" not in answer, f"{self.name}: {command}: {answer}")

    def link(self, network, is_up):
        """Cuts or mends the machine's link to a network."""
        ip("link", "set", self.tap(network), "up" if is_up else "down")

    def end(self):
        """Switches the machine off."""
        self.process.kill()
        self.process.wait()
        self.log.close()
        for network in NETWORKS:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("link", "delete", self.tap(network))
