"""The cluster: a real control plane, the rendered platform and apps, and what can be asked of them."""

import base64
import json
import pathlib
import shlex
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import yaml

from failure import Failure, expect
from machine import ADDRESS, ARRAYS, CONTROL, NAME

HERE = pathlib.Path(__file__).parent
SIMULATOR_PORT = 8440
STORAGE = """
apiVersion: pso-gen.io/v1alpha1
kind: Storage
metadata: {{name: pso, namespace: pso-system}}
spec:
  cluster: kubelet
  nodes: [{node}/32]
  arrays:
    - name: fb1
      type: FlashBlade
      management: "{arrays}:{blade}"
      data: {arrays}
      token: {{secret: arrays, key: storage.fb1.token}}
      ca: {{secret: arrays, key: storage.ca.pem}}
    - name: fa1
      id: fa1
      type: FlashArray
      management: "{arrays}:{array}"
      token: {{secret: arrays, key: storage.fa1.token}}
      ca: {{secret: arrays, key: storage.ca.pem}}
  classes: {{pure-file: {{default: true}}}}
  provisioner: {{image: "registry.example.com/pso-gen:0.1.0"}}
"""


class Cluster:
    """The API server, and the program under test beside it."""

    def __init__(self, binary, controlplane, kubeconfig, folder):
        self.binary, self.controlplane, self.folder = binary, controlplane, pathlib.Path(folder)
        self.kubeconfig = kubeconfig
        config = yaml.safe_load(pathlib.Path(kubeconfig).read_text())
        self.server = config["clusters"][0]["cluster"]["server"]
        authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        self.trust = ssl.create_default_context(cadata=authority)
        self.token = config["users"][0]["user"]["token"]

    def impersonate(self, path, user, *groups):
        """Writes a kubeconfig for a user with the rights of that user alone."""
        config = yaml.safe_load(pathlib.Path(self.kubeconfig).read_text())
        config["users"][0]["user"] |= {"as": user, "as-groups": list(groups)}
        pathlib.Path(path).write_text(yaml.safe_dump(config))

    def read(self, path):
        """Returns an object or the items of a list."""
        request = urllib.request.Request(f"{self.server}{path}", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=30, context=self.trust) as answer:
            found = json.load(answer)
        return found.get("items", found)

    def kubectl(self, *words, text=None, seconds=120):
        """Runs kubectl and returns its output."""
        words = [str(word) for word in words]
        command = [self.controlplane, "kubectl", "--kubeconfig", self.kubeconfig, *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds, check=False,
                              env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"})
        expect(done.returncode == 0, f"kubectl {shlex.join(words)}: exit code {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def render(self, text):
        """Returns the objects that an app or the platform renders to."""
        done = subprocess.run([self.binary, "render", "-"], input=text, capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"this does not render: {done.stderr}")
        return done.stdout

    def apply(self, text):
        """Applies objects, as Argo CD does, but all at once."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=text)

    def install_platform(self, simulated):
        """Installs what the storage document renders, with the Secret that it names."""
        ports = {each["kind"]: each["url"].rsplit(":", 1)[1] for each in simulated["arrays"]}
        document = STORAGE.format(node=ADDRESS, arrays=ARRAYS, blade=ports["FlashBlade"], array=ports["FlashArray"])
        self.kubectl("create", "namespace", "pso-system")
        self.kubectl("create", "secret", "generic", "arrays", "--namespace", "pso-system",
                     *(f"--from-file={path}" for path in sorted(self.folder.glob("storage.*")) if path.suffix in (".token", ".pem")))
        self.apply(self.render(document))

    def register_api(self):
        """Says where the API server is, as a control plane with a load balancer does."""
        port = int(self.server.rsplit(":", 1)[1])
        self.apply(yaml.safe_dump({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "endpoints": [{"addresses": [CONTROL], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }))

    def pods(self, namespace, **labels):
        """Returns the pods with these labels, without those that are being deleted."""
        selector = ",".join(f"app.kubernetes.io/{key}%3D{value}" for key, value in labels.items())
        found = self.read(f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def names(self):
        """Returns what a DNS server of the cluster goes by."""
        return self.read("/api/v1/services"), self.read("/apis/discovery.k8s.io/v1/endpointslices")

    def node_is_ready(self):
        try:
            return condition(self.read(f"/api/v1/nodes/{NAME}"), "Ready")
        except urllib.error.HTTPError:
            return False


def condition(thing, kind):
    """Whether a condition of an object is true."""
    return any(each["type"] == kind and each["status"] == "True" for each in thing["status"].get("conditions", []))


def waited(seconds, look, what):
    """Waits until `look` returns something true; returns that and the seconds it took. A server that is away is asked again."""
    began = time.monotonic()
    while True:
        try:
            found = look()
        except (OSError, Failure) as error:
            found, last = None, error
        else:
            last = None
        if found:
            return found, time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise Failure(f"{what}: not within {seconds} s" + (f": {last}" if last else ""))
        time.sleep(0.3)
