#!/usr/bin/env python3
"""Writes the images of the lab as one OCI archive: all on one layer of Debian, with the stand-ins of ../apps over it.

    images.py BASE ARCHIVE             BASE is the tar of a root file system
    images.py --names                  prints the names of the images
    images.py --specification FILE     prints what every container begins with, from the output of `ctr oci spec`

The names are those of the catalogue.
"""

import hashlib
import io
import json
import pathlib
import re
import sys
import tarfile

import yaml

HERE = pathlib.Path(__file__).parent
STAND_INS = HERE.parent / "apps" / "images"
# The stand-ins and the program under test note and find here what belongs to the lab.
SHARED = "/stand-in/database"
PROGRAM = "/usr/local/bin/pso-gen"
PAUSE = "lab.invalid/pause:1"
PROVISIONER = "registry.example.com/pso-gen:0.1.0"


def images():
    """Returns the folder of the stand-in for each image, by the name of the image."""
    catalogue = yaml.safe_load((HERE.parents[1] / "blueprints" / "catalogue.yaml").read_text())
    used = {
        # An app begins with the older one, and is upgraded.
        "nextcloud": [catalogue["nextcloud"]["33"], catalogue["nextcloud"]["34"]],
        "owncloud-server": [catalogue["owncloud"]["10"]],
        # Debian's version under the names of all.
        "mariadb": list(catalogue["mariadb"].values()),
        "valkey-valkey": [catalogue["valkey"]],
        "curlimages-curl": [catalogue["helper"]],
        "buildpack-deps": [catalogue["tools"]["build"]],
    }
    return {name: folder for folder, names in used.items() for name in names}


class Archive:
    """An OCI image layout in one tar."""

    def __init__(self, out):
        self.out, self.manifests, self.known = out, [], set()

    def put(self, name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self.out.addfile(info, io.BytesIO(data))

    def blob(self, data, kind):
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.known:
            self.known.add(digest)
            self.put(f"blobs/sha256/{digest}", data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, name, layers, **config):
        about = {"architecture": "amd64", "os": "linux", "config": config,
                 "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in layers]}}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.blob(json.dumps(about).encode(), "config.v1+json"), "layers": layers}
        self.manifests.append(self.blob(json.dumps(manifest).encode(), "manifest.v1+json")
                              | {"annotations": {"io.containerd.image.name": name}})

    def end(self):
        self.put("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": self.manifests}
        self.put("index.json", json.dumps(index).encode())


class Layer:
    """The files of an image over those of Debian."""

    def __init__(self):
        self.data = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.data, mode="w")
        self.folders = set()

    def folder(self, path, mode=0o755):
        path = path.strip("/")
        if path and path not in self.folders:
            self.folder(path.rpartition("/")[0])
            self.folders.add(path)
            self._add(path, type=tarfile.DIRTYPE, mode=mode)

    def file(self, path, data, mode=0o644):
        self.folder(path.rpartition("/")[0])
        self._add(path.strip("/"), data, size=len(data), mode=mode)

    def link(self, path, target):
        self.folder(path.rpartition("/")[0])
        self._add(path.strip("/"), type=tarfile.SYMTYPE, linkname=target)

    def _add(self, path, data=None, **fields):
        info = tarfile.TarInfo(path)
        for name, value in fields.items():
            setattr(info, name, value)
        self.tar.addfile(info, None if data is None else io.BytesIO(data))

    def tree(self, top):
        """Adds all files below a folder, with those of its own modes that matter."""
        for path in sorted(top.rglob("*")):
            inside = str(path.relative_to(top))
            # Debian's folders of links, such as /bin, stay as they are.
            if path.is_symlink():
                self.link(inside, str(path.readlink()))
            elif path.is_file():
                self.file(inside, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)

    def end(self):
        self.tar.close()
        return self.data.getvalue()


def layer_of(folder, name):
    """Returns the layer and the configuration of a stand-in."""
    home = STAND_INS / folder
    about = yaml.safe_load((home / "image.yaml").read_text()) or {}
    layer = Layer()
    modes = dict(about.get("modes", {}))
    # Where the official images let their users write.
    for path, mode in modes.items():
        layer.folder(path, mode)
    if folder == "valkey-valkey":
        # Debian's own programs have these names here.
        return layer, about
    if (home / "root").exists():
        layer.tree(home / "root")
    if folder == "nextcloud":
        version = re.search(r":(\d+)\.(\d+)\.(\d+)", name).groups()
        layer.file("usr/src/nextcloud/version.php", f"<?php\n$OC_Version = [{', '.join(version)}, 2];\n".encode())
    return layer, about


def write(base, archive):
    with tarfile.open(archive, "w") as out:
        to = Archive(out)
        debian = to.blob(pathlib.Path(base).read_bytes(), "layer.v1.tar")
        common = Layer()
        common.folder(SHARED, 0o777)
        common.file(PROGRAM, b"", 0o755)
        lower = [debian, to.blob(common.end(), "layer.v1.tar")]
        to.image(PAUSE, lower, Entrypoint=["/usr/bin/sleep", "infinity"])
        to.image(PROVISIONER, lower, Entrypoint=[PROGRAM], User="65532:65532")
        for name, folder in images().items():
            layer, about = layer_of(folder, name)
            path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            to.image(name, [*lower, to.blob(layer.end(), "layer.v1.tar")], Env=[path], Entrypoint=about.get("entrypoint"),
                     Cmd=about.get("command"), WorkingDir=about.get("folder", "/"))
        to.end()


def specification(path):
    """Adds the folder of the stand-ins, and the program under test, to what every container sees."""
    spec = json.loads(pathlib.Path(path).read_text())
    spec["mounts"] += [
        {"destination": SHARED, "type": "bind", "source": "/lab/stand-in", "options": ["rbind", "rw"]},
        {"destination": PROGRAM, "type": "bind", "source": "/lab/pso-gen", "options": ["bind", "ro"]},
    ]
    print(json.dumps(spec, indent=2))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--names"]:
            print("\n".join([PAUSE, PROVISIONER, *images()]))
        case ["--specification", path]:
            specification(path)
        case [base, archive]:
            write(base, archive)
        case _:
            sys.exit(__doc__)
