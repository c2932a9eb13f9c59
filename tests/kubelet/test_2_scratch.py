"""A scratch space, as rendered but for the cores and memory that this machine does not have."""

from cluster import waited
from failure import Failure, expect, expect_equal


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


def test_export_rules_decide_who_mounts(lab):
    app = space(lab)
    (claim,) = app.claims()
    folder = app.volume(claim)
    rules = folder.parent / ".rules" / folder.name
    text = rules.read_text()
    expect("\n10.77.0.21/32(rw,no_root_squash)\n" in text, f"the rules are {text!r}")

    def mount(name, options="vers=4.1"):
        script = f"mkdir -p /tmp/by-hand && mount -t nfs -o {options} 10.77.0.10:/{name} /tmp/by-hand && "
        script += "{ touch /tmp/by-hand/written; code=$?; umount /tmp/by-hand; exit $code; }"
        return lab.node.run("sh", "-c", script)

    try:
        mount(folder.name)
        for changed, why in ((text.replace("10.77.0.21/32", "10.77.0.22"), "access denied"), (text.replace("(rw", "(ro"), "Read-only"),
                             (text.replace("4 4.1", "3"), "requested NFS version")):
            rules.write_text(changed)
            refused(lambda: mount(folder.name), why)
    finally:
        rules.write_text(text)
    refused(lambda: mount("another"), "No such file or directory")
    refused(lambda: mount(folder.name, "vers=4.1,unknown"), "incorrect mount option")


def refused(mount, why):
    """Fails unless a mount is refused, with these words."""
    try:
        mount()
    except Failure as failure:
        expect(why in str(failure), f"refused, but not with {why!r}: {failure}")
    else:
        raise Failure(f"mounted, which should fail with {why!r}")
