"""One rendered app in the cluster: installed, changed, asked and deleted."""

import json
import time
import urllib.error
import urllib.request

import yaml

from cluster import condition, waited
from failure import expect

# Until an app must be Ready. Durations are printed, and fail nothing below this.
DEADLINE = 240


class App:
    """An app; `spec` is what its file says."""

    def __init__(self, lab, kind, name, namespace, **spec):
        self.lab, self.cluster = lab, lab.cluster
        self.kind, self.name, self.namespace = kind, name, namespace
        self.spec, self.objects = spec, []

    def apply(self, **changes):
        """Applies the app, with changes to its file."""
        self.spec |= changes
        document = {"apiVersion": "pso-gen.io/v1alpha1", "kind": self.kind,
                    "metadata": {"name": self.name, "namespace": self.namespace}, "spec": self.spec}
        text = self.cluster.render(yaml.safe_dump(document))
        self.objects = [each for each in yaml.safe_load_all(text) if each]
        self.cluster.apply(text)

    def workloads(self):
        """Returns the paths of all Deployments and StatefulSets, with the number of their pods."""
        for each in self.objects:
            if each["kind"] in ("Deployment", "StatefulSet"):
                yield f"/apis/apps/v1/namespaces/{self.namespace}/{each['kind'].lower()}s/{each['metadata']['name']}"

    def is_ready(self):
        """Whether all pods of the newest texts are Ready, and no others are left."""
        for path in self.workloads():
            each = self.cluster.read(path)
            status, wanted = each["status"], each["spec"]["replicas"]
            counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
            if status.get("observedGeneration") != each["metadata"]["generation"] or counts != [wanted] * 4:
                return False
        return True

    def wait(self, what="Ready", seconds=DEADLINE):
        """Waits until the app is Ready, and prints how long that took."""
        try:
            _, took = waited(seconds, self.is_ready, f"{self.name}: {what}")
        except Exception:
            self.describe()
            raise
        self.lab.note(f"{self.name}: {what} after {took:.1f} s")
        return took

    def describe(self):
        """Prints why pods of the app are not Ready."""
        for pod in self.cluster.read(f"/api/v1/namespaces/{self.namespace}/pods"):
            if condition(pod, "Ready") or pod["status"]["phase"] == "Succeeded":
                continue
            name = pod["metadata"]["name"]
            for each in pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", []):
                print(f"    {name}: {each['name']}: {json.dumps(each['state'])[:600]}", flush=True)
            for event in self.cluster.read(f"/api/v1/namespaces/{self.namespace}/events?fieldSelector=involvedObject.name%3D{name}")[-4:]:
                print(f"    {name}: {event['reason']}: {event['message'][:400]}", flush=True)

    def pods(self, component):
        """Returns the pods of a component that are Ready."""
        found = self.cluster.pods(self.namespace, instance=self.name, component=component)
        return [each for each in found if condition(each, "Ready")]

    def execute(self, pod, *words, seconds=60):
        """Runs a command in a pod."""
        return self.cluster.kubectl("exec", "--namespace", self.namespace, pod, "--", *words, seconds=seconds)

    def shell(self, component, script):
        """Runs a script in one pod of a component."""
        return self.execute(self.pods(component)[0]["metadata"]["name"], "sh", "-c", script)

    def ask(self, path, host, pod=None):
        """Sends a request to a pod, or through the Service to one that is Ready; returns its code and text."""
        address = pod["status"]["podIP"] + ":8080" if pod else self.service()
        request = urllib.request.Request(f"http://{address}{path}", headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def service(self):
        """Returns address and port of the web server's Service."""
        spec = self.cluster.read(f"/api/v1/namespaces/{self.namespace}/services/{self.name}-web")["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def sql(self, statement):
        """Returns what a statement returns to the app's user, over the network."""
        client = 'MYSQL_PWD=$(cat /run/secrets/pso/db-password) exec mariadb -N --host="$0" --user=app app --execute="$1"'
        name = self.pods("db")[0]["metadata"]["name"]
        return self.execute(name, "sh", "-c", client, f"{self.name}-db", statement).split()

    def run_job(self, name, seconds=DEADLINE):
        """Starts a job of the app as the documentation says, and returns its log once it has ended well."""
        started = f"{name}-{int(time.time())}"
        self.cluster.kubectl("create", "job", "--namespace", self.namespace, f"--from=cronjob/{self.name}-{name}", started)
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{started}"

        def ended():
            job = self.cluster.read(path)
            return job if condition(job, "Complete") or condition(job, "Failed") else None

        job, took = waited(seconds, ended, f"end of the job {started}")
        log = self.cluster.kubectl("logs", "--namespace", self.namespace, f"job/{started}", "--all-containers")
        expect(condition(job, "Complete"), f"the job {started} has failed: {log[-2000:]}")
        self.lab.note(f"{self.name}: job {name} ended after {took:.1f} s")
        return log

    def claims(self):
        """Returns the app's claims by name."""
        found = self.cluster.read(f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims")
        return {each["metadata"]["name"]: each for each in found}

    def volume(self, claim):
        """Returns the folder that stands for the file system of a claim."""
        name = self.claims()[claim]["spec"]["volumeName"]
        path = self.cluster.read(f"/api/v1/persistentvolumes/{name}")["spec"]["nfs"]["path"]
        return self.lab.file_systems.path(path.strip("/"))

    def delete(self):
        """Deletes the app as Argo CD does: all but what says that it stays."""
        staying = [each for each in self.objects if stays(each)]
        going = [each for each in self.objects if not stays(each)]
        self.cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", text=yaml.safe_dump_all(going))
        _, took = waited(DEADLINE, lambda: not self.cluster.read(f"/api/v1/namespaces/{self.namespace}/pods"), "end of all pods")
        self.lab.note(f"{self.name}: all pods gone after {took:.1f} s")
        return staying


def stays(thing):
    """Whether Argo CD leaves an object when its app is deleted."""
    options = thing["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-options", "")
    return "Delete=false" in options.split(",")
