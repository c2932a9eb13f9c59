"""What is wrong with the rendered texts before anything runs."""

import pathlib
import subprocess
import tempfile

from app import app
from failure import Failure, expect
from rendered import containers


def check(cluster, suffix, command):
    """Runs a checker over all files with a suffix."""
    found = [(name, text) for name, text in cluster.rendered.files() if name.endswith(suffix)]
    for name, text in found:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, name)
            path.write_text(text)
            done = subprocess.run([*command, path], capture_output=True, text=True, check=False)
            expect(done.returncode == 0, f"{name}:\n{done.stdout}{done.stderr}")
    return len(found)


def check_pods(cluster):
    """Checks what the API server or a node refuses, beyond the types of fields."""
    for name, pod in cluster.rendered.pods():
        volumes = [each["name"] for each in pod.get("volumes", [])]
        for each in volumes:
            expect(volumes.count(each) == 1, f"{name}: two volumes are called {each!r}")
        for container in containers(pod):
            mounts = container.get("volumeMounts", [])
            paths = [each["mountPath"] for each in mounts]
            for mount in mounts:
                expect(mount["name"] in volumes, f"{name}: no volume is called {mount['name']!r}")
                expect(paths.count(mount["mountPath"]) == 1, f"{name}: two at {mount['mountPath']}")


def check_all(cluster):
    """Fails if a script, a PHP file or a pod of the app is not well."""
    expect(check(cluster, ".sh", ["shellcheck"]) > 1, "hardly any script is rendered")
    check(cluster, ".php", ["php", "-l"])
    check_pods(cluster)
    check_logs(cluster)
    check_what_on_call_sees(cluster)
    cluster_is_complete(cluster)


def check_logs(cluster):
    """Fails if the logs that a node keeps, 5 files of 10 MiB, are more than a server's ephemeral storage."""
    for name, pod in cluster.rendered.pods():
        if name.startswith("CronJob") or name.startswith("Job"):
            continue
        for container in pod["containers"]:
            limit = container["resources"]["limits"]["ephemeral-storage"]
            number = int(limit.rstrip("KMGTi")) * {"M": 1, "G": 1024}.get(limit.rstrip("i")[-1], 1 / 1048576)
            expect(number >= 128, f"{name}: {limit} of ephemeral storage is too little for logs")


def check_what_on_call_sees(cluster):
    """Fails if a pod has no default container, or does not show the last lines of a container that failed."""
    for kind, name in [each.split(" ") for each, _ in cluster.rendered.pods()]:
        # The Job that fills Secrets has a container for each.
        if kind == "Job":
            continue
        template = cluster.rendered.template(kind, name)
        for container in containers(template["spec"]):
            policy = container.get("terminationMessagePolicy")
            expect(policy == "FallbackToLogsOnError", f"{name}: {container['name']} ends without a message")
        default = template["metadata"].get("annotations", {}).get("kubectl.kubernetes.io/default-container")
        (main,) = template["spec"]["containers"]
        expect(default == main["name"], f"{name}: the default container is {default!r}")


def cluster_is_complete(cluster):
    """Fails if a pod needs a Secret, ConfigMap or claim that is not rendered."""
    for name, _ in cluster.rendered.pods():
        kind, _, name = name.partition(" ")
        try:
            cluster.pod(kind, name)
        except Failure as failure:
            raise Failure(f"{kind} {name}: {failure}") from None


@app("nextcloud")
def test_nextcloud(cluster):
    check_all(cluster)


@app("nextcloud-full")
def test_nextcloud_full(cluster):
    check_all(cluster)


@app("owncloud")
def test_owncloud(cluster):
    check_all(cluster)


@app("owncloud-owned")
def test_owncloud_owned(cluster):
    check_all(cluster)


@app("scratch")
def test_scratch(cluster):
    check_all(cluster)
