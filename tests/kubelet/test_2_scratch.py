"""A scratch space, as rendered but for the cores and memory that this machine does not have."""

from cluster import waited
from failure import expect, expect_equal


def space(lab):
    return lab.app("Scratch", "inc-4711", "scratch", ticket="INC-4711", cpu="50m", memory="64Mi")


def test_a_file_outlives_its_pod(lab):
    app = space(lab)
    name = app.pods("shell")[0]["metadata"]["name"]
    # As docs/apps.md says it: other shells do not read the file that sets the umask.
    app.execute(name, "bash", "-c", "echo kept > /scratch/file")
    owner = app.shell("shell", "stat -c %u:%g:%a /scratch/file")
    expect_equal(owner.strip(), "1000:100:664", "owner and mode of a file")
    before = {pod["metadata"]["name"] for pod in app.pods("shell")}
    for name in before:
        app.cluster.kubectl("delete", "pod", "--namespace", "scratch", name, "--wait=false")
    waited(120, lambda: app.pods("shell") and not before & {pod["metadata"]["name"] for pod in app.pods("shell")}, "new pods are Ready")
    for pod in app.pods("shell"):
        expect_equal(app.execute(pod["metadata"]["name"], "cat", "/scratch/file"), "kept\n", "the file in the new pod")
    app.wait("Ready again")


def test_other_clients_are_refused_by_the_export_rules(lab):
    app = space(lab)
    (claim,) = app.claims()
    rules = app.volume(claim).parent / ".rules" / app.volume(claim).name
    text = rules.read_text()
    expect("10.77.0.21/32(rw,no_root_squash)" in text or "10.77.0.21(rw,no_root_squash)" in text, f"the rules are {text!r}")
