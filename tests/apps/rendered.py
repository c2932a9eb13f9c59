"""The text that `pso-gen render` prints for an app, and the objects in it.

Tests read nothing else: what they run is what a cluster would get.
"""

import pathlib
import subprocess

import yaml

from failure import Failure, expect

HERE = pathlib.Path(__file__).parent


def render(binary, app, change=None):
    """Renders an app of `specs/`, or the first file of a page of `docs/`. `change` is an old and a new text: a defect made on
    purpose."""
    if app.endswith(".md"):
        spec = (HERE.parents[1] / "docs" / app).read_text().split("```yaml file=", 1)[1]
        spec = spec.split("\n", 1)[1].split("```", 1)[0]
    else:
        spec = (HERE / "specs" / f"{app}.pso.yaml").read_text()
    done = subprocess.run([binary, "render", "-"], input=spec, capture_output=True, text=True)
    expect(done.returncode == 0, f"{app} does not render:\n{done.stderr}")
    text = done.stdout
    if change is not None:
        old, new = change
        expect(old in text, f"the rendered {app} has no text {old!r} any more: change the mutation")
        text = text.replace(old, new)
    return Rendered(text)


class Rendered:
    """The objects of one rendered app."""

    def __init__(self, text):
        self.objects = [each for each in yaml.safe_load_all(text) if each]

    def get(self, kind, name):
        """Returns one object. A name that ends in `-` also stands for one with a digest behind it."""
        for each in self.of_kind(kind):
            found = each["metadata"]["name"]
            if found == name or (name.endswith("-") and found.startswith(name)):
                return each
        raise Failure(f"no {kind} {name} is rendered")

    def of_kind(self, kind):
        """Returns all objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def pod(self, kind, name):
        """Returns the pod that a workload or job makes."""
        return self.template(kind, name)["spec"]

    def template(self, kind, name):
        """Returns the pod that a workload or job makes, with its metadata."""
        return _template(self.get(kind, name))

    def pods(self):
        """Yields the name of each workload and job, and its pod."""
        for each in self.objects:
            if each["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob"):
                yield f"{each['kind']} {each['metadata']['name']}", _template(each)["spec"]

    def files(self):
        """Yields name and text of every file in a ConfigMap."""
        for each in self.of_kind("ConfigMap"):
            yield from each.get("data", {}).items()


def containers(pod):
    """Returns first steps and containers, in the order in which they start."""
    return pod.get("initContainers", []) + pod["containers"]


def _template(workload):
    spec = workload["spec"]
    return spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]
