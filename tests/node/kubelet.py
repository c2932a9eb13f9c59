"""The parts of kubelet and of the CSI sidecars: the calls, in their order, with the paths that kubelet uses."""

import hashlib
import re
import time

import grpc

from lab import Failure, check, until
from messages import CALLS, decode, encode

PLUGIN = "/var/lib/kubelet/plugins/pso-gen.io"
CSI = "/var/lib/kubelet/plugins/kubernetes.io/csi"
PORT = 7001
MODE = {"mode": 7}  # SINGLE_NODE_MULTI_WRITER, as kubelet sends it for ReadWriteOnce.
# Kubelet's own deadline for a call.
DEADLINE = 120


class CallError(Exception):
    """The error of a call: its code, such as FAILED_PRECONDITION, and its message."""

    def __init__(self, call, code, message):
        super().__init__(f"{call}: {code}: {message}")
        self.code, self.message = code, message


class Service:
    """A CSI socket."""

    def __init__(self, address):
        options = [("grpc.default_authority", "localhost"), ("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 500)]
        self.channel = grpc.insecure_channel(address, options=options)
        # Calls that were refused because another one is at work on the volume.
        self.aborted = 0

    def call(self, name, deadline=DEADLINE, /, **fields):
        """Sends a request and returns the answer."""
        request, answer = CALLS[name]
        method = self.channel.unary_unary(
            f"/csi.v1.{name}",
            request_serializer=lambda message: encode(request, message),
            response_deserializer=lambda data: decode(answer, data),
        )
        end = time.monotonic() + deadline
        while True:
            try:
                return method(fields, timeout=deadline, wait_for_ready=True)
            except grpc.RpcError as error:
                # Another operation is at work on the volume: kubelet tries again.
                self.aborted += error.code() == grpc.StatusCode.ABORTED
                if error.code() == grpc.StatusCode.ABORTED and time.monotonic() < end:
                    time.sleep(0.5)
                    continue
                raise CallError(name, error.code().name, error.details()) from None


class Volume:
    """A volume of the cluster, as its PersistentVolume and its VolumeAttachment describe it."""

    def __init__(self, handle, size, fs_type, flags, context):
        self.handle, self.size, self.context = handle, size, context
        self.name = "pvc-" + handle.rsplit("/", 1)[-1]
        self.fs_type = fs_type
        kind = {"block": {}} if fs_type is None else {"mount": {"fs_type": fs_type, "mount_flags": flags}}
        self.capability = kind | {"access_mode": MODE}
        self.published = None

    @property
    def staging(self):
        if self.fs_type is None:
            return f"{CSI}/volumeDevices/staging/{self.name}"
        return f"{CSI}/pso-gen.io/{hashlib.sha256(self.handle.encode()).hexdigest()}/globalmount"

    def target(self, pod):
        if self.fs_type is None:
            return f"{CSI}/volumeDevices/publish/{self.name}/{pod}"
        return f"/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~csi/{self.name}/mount"


class Controller:
    """What csi-provisioner, csi-attacher, csi-resizer and csi-snapshotter call, over `pso-gen csi`."""

    def __init__(self, socket, array):
        self.service, self.array, self.made = Service(f"unix:{socket}"), array, 0

    def create(self, size, fs_type="ext4", source=None, flags=()):
        """Creates a volume; without a file system's type, for use as a raw block device."""
        self.made += 1
        capability = Volume("/", size, fs_type, list(flags), {}).capability
        fields = {"name": f"pvc-00000000-0000-4000-8000-{self.made:012}", "capacity_range": {"required_bytes": size},
                  "volume_capabilities": [capability]}
        if source:
            fields["volume_content_source"] = source
        made = self.service.call("Controller/CreateVolume", **fields)["volume"]
        self.array.settle()
        return Volume(made["volume_id"], made["capacity_bytes"], fs_type, list(flags), made["volume_context"])

    def attach(self, volume, node):
        """Attaches a volume to a node."""
        answer = self.service.call(
            "Controller/ControllerPublishVolume", volume_id=volume.handle, node_id=node.id(),
            volume_capability=volume.capability, volume_context=volume.context,
        )
        volume.published = answer["publish_context"]
        self.array.settle()

    def detach(self, volume, node):
        """Detaches a volume from a node, which may be down."""
        self.service.call("Controller/ControllerUnpublishVolume", volume_id=volume.handle, node_id=node.node_id)
        self.array.settle()

    def expand(self, volume, size):
        self.service.call(
            "Controller/ControllerExpandVolume", volume_id=volume.handle, capacity_range={"required_bytes": size},
            volume_capability=volume.capability,
        )
        volume.size = size
        self.array.settle()

    def snapshot(self, volume, name):
        answer = self.service.call("Controller/CreateSnapshot", source_volume_id=volume.handle, name=name)
        self.array.settle()
        return answer["snapshot"]["snapshot_id"]

    def delete(self, volume):
        self.service.call("Controller/DeleteVolume", volume_id=volume.handle)


class Node:
    """A machine with kubelet's part of it, and the node service as a process."""

    def __init__(self, machine):
        self.machine, self.name, self.node_id = machine, machine.name, None
        machine.shell(
            f"socat TCP-LISTEN:{PORT},bind={machine.address},reuseaddr,fork UNIX-CONNECT:{PLUGIN}/csi.sock > /dev/null 2>&1 &"
        )
        self.service = Service(f"{machine.address}:{PORT}")
        self.start()

    def start(self):
        """Starts the node service, again whenever it ends, and waits until it answers."""
        self.machine.shell(f"setsid node-service-again {self.name} > /dev/null 2>&1 &")
        self.wait()

    def wait(self):
        """Waits until the node service answers."""
        socket = f"test -S {PLUGIN}/csi.sock && grep -q pso-gen /proc/$(cat /run/node-service.pid)/comm"
        until(60, lambda: self.machine.run(socket)[0] == 0 and self.answers(), f"{self.name}: the node service answers")

    def answers(self):
        try:
            return bool(self.id())
        except CallError as error:
            check(error.code == "UNAVAILABLE", f"{error}")
            return False

    def killed_after_effects(self, work):
        """Does some work while the node service is killed after each effect that it has not had in this work before, as
        the kernel ends a process without memory: at once. Returns the number of these effects.
        """
        begun = len(self.lines())
        self.machine.shell(": > /run/killed-after")
        try:
            work()
        finally:
            killed = self.machine.shell("cat /run/killed-after; rm /run/killed-after").splitlines()
            self.wait()
        log = self.lines()[begun:]
        done = {}
        for at, line in enumerate(log):
            if '"message":"done"' in line and '"effect":"' in line:
                done.setdefault(line.split('"effect":"', 1)[1], at)
        check(killed and sorted(killed) == sorted(done), f"killed after {killed}, and not after {sorted(set(done) - set(killed))}")
        for effect, at in done.items():
            follows = log[at + 1]
            check(follows == "the node service starts", f"the first life that had {effect} goes on with {follows}")
        return [re.match(r"\w+", effect)[0] for effect in killed]

    def lines(self):
        """Returns the log of the node service without what is said before it starts."""
        return self.machine.shell("cat /run/node-service.log").splitlines()

    def log(self):
        return self.machine.run("cat /run/node-service.start /run/node-service.log")[1]

    def iqn(self):
        return f"iqn.2004-10.com.example:{self.name}"

    def id(self):
        """Returns what the node service calls its node; kubelet reads it at each registration."""
        self.node_id = self.service.call("Node/NodeGetInfo")["node_id"]
        return self.node_id

    def stage(self, volume, deadline=DEADLINE, secrets=None):
        self.machine.shell(f"mkdir -p -m 0750 {volume.staging}")
        self.service.call(
            "Node/NodeStageVolume", deadline, volume_id=volume.handle, publish_context=volume.published,
            staging_target_path=volume.staging, volume_capability=volume.capability, secrets=secrets or {},
            volume_context=volume.context,
        )

    def publish(self, volume, pod="pod-1"):
        target = volume.target(pod)
        self.machine.shell(f"mkdir -p -m 0750 {target.rsplit('/', 1)[0]}")
        self.service.call(
            "Node/NodePublishVolume", volume_id=volume.handle, publish_context=volume.published,
            staging_target_path=volume.staging, target_path=target, volume_capability=volume.capability,
            volume_context=volume.context,
        )
        return target

    def unpublish(self, volume, pod="pod-1"):
        self.service.call("Node/NodeUnpublishVolume", volume_id=volume.handle, target_path=volume.target(pod))

    def unstage(self, volume):
        self.service.call("Node/NodeUnstageVolume", volume_id=volume.handle, staging_target_path=volume.staging)

    def expand(self, volume, pod="pod-1"):
        answer = self.service.call(
            "Node/NodeExpandVolume", volume_id=volume.handle, volume_path=volume.target(pod),
            capacity_range={"required_bytes": volume.size}, staging_target_path=volume.staging,
            volume_capability=volume.capability,
        )
        return answer["capacity_bytes"]

    def stats(self, volume, pod="pod-1"):
        return self.service.call(
            "Node/NodeGetVolumeStats", volume_id=volume.handle, volume_path=volume.target(pod),
            staging_target_path=volume.staging,
        )

    def start_pod(self, controller, volume, pod="pod-1"):
        """Attaches, stages and publishes a volume, and returns its path in the pod."""
        controller.attach(volume, self)
        self.stage(volume)
        return self.publish(volume, pod)

    def stop_pod(self, controller, volume, pod="pod-1"):
        """Undoes that in kubelet's order."""
        self.unpublish(volume, pod)
        self.unstage(volume)
        controller.detach(volume, self)

    def paths(self, volume):
        """Returns the disks of a volume that this node has, as sysfs names them."""
        serial = volume.context["serial"].lower()
        script = f"grep -l naa.624a9370{serial} /sys/class/scsi_disk/*/device/wwid 2> /dev/null || true"
        found = self.machine.shell(script).split()
        return [self.machine.shell(f"ls {path.rsplit('/', 1)[0]}/block").strip() for path in found]

    def must_be_clean(self):
        """Fails if anything of a volume is left on the node."""
        left = self.machine.shell(
            f"""
            ls -d /sys/class/iscsi_session/* /sys/class/scsi_disk/* /sys/block/dm-* /sys/class/nvme/nvme* {PLUGIN}/staged/*.json /run/pso-gen.io/connected/*.json 2> /dev/null || true
            find /etc/iscsi/nodes /var/lib/iscsi/nodes -type f 2> /dev/null || true
            grep -o ' /var/lib/kubelet/[^ ]*' /proc/mounts || true
            """
        )
        check(not left.strip(), f"{self.name}: left behind: {left.split()}")


def refused(call, *arguments, code=None, text=None, **named):
    """Fails unless a call is refused, and returns the error."""
    try:
        call(*arguments, **named)
    except CallError as error:
        check(code in (None, error.code), f"refused with {error}, and not {code}")
        check(text is None or re.search(text, error.message), f"refused with {error}, without {text!r}")
        return error
    raise Failure(f"{call.__name__} was not refused")
