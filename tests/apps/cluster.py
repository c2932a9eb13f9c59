"""A cluster of one machine, without a container engine: what a node does with a rendered pod.

A container gets a root of its own: this machine's programs, over them the files of a stand-in for
its image (`images/`), over them the pod's volumes, ConfigMaps and Secrets, at the paths, with the
owners and modes that a kubelet gives them. It runs as its user, in its own PID namespace as number 1,
with the capabilities that its security context leaves. All pods share one network, in which the names
of the rendered Services lead to this machine.

The suite has put the test into namespaces of its own before: what is mounted or left running here
is gone with the test.
"""

import os
import pathlib
import re
import shlex
import stat

from container import PATH, Identity, Image, Running
from failure import Failure, expect, expect_equal
from rendered import containers

# Where all pods are. Not 127.0.0.1: what listens there only, no other pod and no kubelet can reach.
ADDRESS = "10.96.0.10"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Cluster:
    """What outlives a pod: claims, Secrets, names, and what stand-ins share with each other."""

    def __init__(self, rendered, top):
        self.rendered = rendered
        self.top = pathlib.Path(top)
        self.secrets = {}
        # Those that others have in the namespace.
        self.config_maps = {}
        self._made = 0
        # Stands for the app's database where a stand-in has none.
        self.database = self.folder()
        self.database.chmod(0o777)
        self.account = self.folder()
        # Servers that a test has started, by component.
        self.services = {}
        # Claims that others have made, of a block class.
        self.blocks = set()
        services = [each["metadata"]["name"] for each in rendered.of_kind("Service")]
        names = " ".join(["kubernetes.default.svc", *services])
        # Those of `specs/` that are no Service of the app.
        outside = "sql.databases.svc valkey.caches.svc"
        self.hosts = f"127.0.0.1 localhost\n{ADDRESS} {names} {outside}\n"

    @property
    def name(self):
        """The name of the app."""
        (label,) = {each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in self.rendered.objects
                    if each["kind"] != "Namespace"}
        return label

    def folder(self):
        """Makes an empty folder that belongs to root."""
        self._made += 1
        folder = self.top / str(self._made)
        folder.mkdir(mode=0o755)
        return folder

    def claim(self, name):
        """Returns the folder of a claim: as new, it belongs to root with the mode 755."""
        folder = self.top / f"claim-{name}"
        folder.mkdir(mode=0o755, exist_ok=True)
        return folder

    def is_block(self, claim):
        """Whether a claim is a file system on a block device, where Kubernetes heeds `fsGroup`."""
        if claim not in [each["metadata"]["name"] for each in self.rendered.of_kind("PersistentVolumeClaim")]:
            return claim in self.blocks
        spec = self.rendered.get("PersistentVolumeClaim", claim)["spec"]
        return spec["storageClassName"] == "pure-block"

    def secret(self, name, key):
        """Returns a value of a Secret that a test has put there, or is rendered: then the first one to ask makes it up."""
        if (name, key) not in self.secrets:
            self.rendered.get("Secret", name)
        return self.secrets.setdefault((name, key), f"secret{len(self.secrets)}{key.replace('-', '')}")

    def config_map(self, name):
        """Returns the keys and values of a ConfigMap that a test has put there, or is rendered."""
        return self.config_maps.get(name) or self.rendered.get("ConfigMap", name)["data"]

    def pod(self, kind, name):
        """Starts nothing yet: gives the pod its volumes."""
        return Pod(self, self.rendered.pod(kind, name))


class Pod:
    """One pod: volumes of its own, and containers that are started one by one."""

    def __init__(self, cluster, spec):
        self.cluster = cluster
        self.spec = spec
        self.context = spec.get("securityContext", {})
        self.volumes = {}
        for volume in spec.get("volumes", []):
            name = volume["name"]
            expect(name not in self.volumes, f"two volumes of one pod are called {name!r}")
            self.volumes[name] = self._volume(volume)

    def steps(self):
        """Runs the first steps one after another, as a node does; each must succeed."""
        for container in self.spec.get("initContainers", []):
            self.must(container["name"])

    def mounted(self, name, path):
        """Returns the folder that a container sees at a path."""
        container = next(each for each in containers(self.spec) if each["name"] == name)
        mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        return self.volumes[mounts[path]]

    def must(self, name, **how):
        """Runs a container to its end, and fails unless it succeeds."""
        ended = self.run(name, **how)
        expect_equal(ended.code, 0, f"the exit code of {name}, which said\n{ended.text}\nIt")
        return ended.text

    def run(self, name, **how):
        """Runs a container to its end."""
        return self.start(name, **how).wait()

    def start(self, name, *, command=None, user=None, files=None, environment=None, traced=False):
        """Starts a container.

        `command` replaces the rendered one. `user` stands for root on a volume that squashes root: an
        ordinary user without capabilities. `files` are put into the image: texts, or folders to
        mount. `traced` records the arguments of all processes.
        """
        container = next((each for each in containers(self.spec) if each["name"] == name), None)
        expect(container, f"the pod has no container {name!r}")
        image = Image(container["image"])
        context = {**self.context, **container.get("securityContext", {})}
        variables = {"PATH": PATH, **self._environment(container)} if environment is None else environment
        if command is None:
            rendered = container.get("command", image.entrypoint)
            default = [] if "command" in container else image.command
            command = [_expand(each, variables) for each in rendered + container.get("args", default)]
        identity = Identity(context, self.context.get("fsGroup"), user)
        running = Running(command, variables, identity, image.folder, self.cluster.folder())
        running.begin(self._root(container, image, context, files or {}, running.top), traced)
        return running

    def _volume(self, volume):
        group = self.context.get("fsGroup")
        if claim := volume.get("persistentVolumeClaim"):
            folder = self.cluster.claim(claim["claimName"])
            if group is not None and self.cluster.is_block(claim["claimName"]):
                os.chown(folder, -1, group)
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o2770)
            return folder
        folder = self.cluster.folder()
        if "emptyDir" in volume:
            folder.chmod(0o777)
            if group is not None:
                os.chown(folder, -1, group)
                folder.chmod(0o2777)
            return folder
        for item, text in self._items(volume):
            path = folder / item["path"]
            path.write_text(text)
            # Kubernetes gives files of a pod to its group, readable.
            os.chown(path, -1, group or 0)
            path.chmod(item["mode"] | (0o440 if group is not None else 0))
        return folder

    def _items(self, volume):
        if source := volume.get("configMap"):
            data = self.cluster.config_map(source["name"])
            for item in source.get("items") or _all(data, source):
                expect(item["key"] in data, f"the ConfigMap {source['name']} has no key {item['key']}")
                yield item, data[item["key"]]
        elif source := volume.get("secret"):
            keys = [key for name, key in self.cluster.secrets if name == source["secretName"]]
            for item in source.get("items") or _all(keys, source):
                yield item, self.cluster.secret(source["secretName"], item["key"])
        else:
            raise Failure(f"no test knows volumes like {volume}")

    def _environment(self, container):
        variables = {}
        for each in container.get("env", []):
            if "value" in each:
                variables[each["name"]] = _expand(each["value"], variables)
            elif source := each["valueFrom"].get("secretKeyRef"):
                variables[each["name"]] = self.cluster.secret(source["name"], source["key"])
            elif source := each["valueFrom"].get("configMapKeyRef"):
                variables[each["name"]] = self.cluster.config_map(source["name"])[source["key"]]
            else:
                raise Failure(f"no test knows variables like {each}")
        return variables

    def _root(self, container, image, context, files, top):
        """Returns shell lines that make the container's root at `top`/root."""
        upper, root = top / "upper", top / "root"
        for folder in (upper, top / "work", root):
            folder.mkdir()
        image.unpack(upper)
        _put(upper, "/etc/hosts", self.cluster.hosts)
        mounts = {"/stand-in/database": self.cluster.database}
        for path, content in files.items():
            if isinstance(content, str):
                _put(upper, path, content)
            else:
                mounts[path] = content
        if self.spec.get("automountServiceAccountToken"):
            mounts[ACCOUNT] = self.cluster.account
        lines = [
            "set -e",
            f"mount -t overlay -o lowerdir=/,upperdir={upper},workdir={top}/work overlay {root}",
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
        ]
        lines += [_mount(source, path, root, False) for path, source in mounts.items()]
        for each in container.get("volumeMounts", []):
            source = self.volumes[each["name"]]
            if sub := each.get("subPath"):
                source = source / sub
                lines.append(f"[ -e {source} ] || mkdir -m 0750 {source}")
            lines.append(_mount(source, each["mountPath"], root, each.get("readOnly", False)))
        if context.get("readOnlyRootFilesystem"):
            lines.append(f"mount -o remount,ro {root}")
        return lines


def _all(keys, source):
    """Returns the items of a volume that has all keys of an object."""
    return [{"key": key, "path": key, "mode": source.get("defaultMode", 0o644)} for key in keys]


def _expand(text, variables):
    """Replaces `$(NAME)` as Kubernetes does: what it doesn't know stays."""
    return re.sub(r"\$\(([A-Za-z_]\w*)\)", lambda m: variables.get(m[1], m[0]), text)


def _put(top, path, text):
    target = top / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.write_text(text)
    target.chmod(0o755 if text.startswith("#!") else 0o644)


def _mount(source, path, root, read_only):
    """Returns shell lines for one mount. Links on the way are those of the container."""
    make = f'mkdir -p "$target" && mount --bind {source} "$target"'
    if source.is_file():
        make = f'mkdir -p "$(dirname "$target")" && touch "$target" && mount --bind {source} "$target"'
    lines = [f"target={root}$(chroot {root} realpath -m {shlex.quote(path)})", make]
    if read_only:
        lines.append('mount -o remount,bind,ro "$target"')
    return "\n".join(lines)
