"""T10: the script that keeps a scratch pod open."""

import stat

from app import app
from failure import expect, expect_equal, until

SHELL = "scratch-inc-4711-shell"


def start(cluster):
    """Starts one more pod, and waits until it is ready."""
    pod = cluster.pod("Deployment", SHELL)
    pod.steps()
    shell = pod.start("shell")
    until(lambda: shell.pid and "scratch space ready" in shell.text(), "ready scratch space")
    (container,) = pod.spec["containers"]
    probe = shell.execute(container["readinessProbe"]["exec"]["command"])
    expect_equal(probe.code, 0, "the exit code of the readiness probe")
    return shell


@app("scratch")
def test_ends_at_once_when_asked(cluster):
    shell = start(cluster)
    shell.expect_unprivileged(1000)
    grace = cluster.rendered.pod("Deployment", SHELL)["terminationGracePeriodSeconds"]
    ended, seconds = shell.stop(grace)
    expect_equal(ended.code, 0, "the exit code after SIGTERM")
    expect(seconds < 1, f"it took {seconds:.1f} s to end")


@app("scratch")
def test_what_one_pod_makes_another_can_change(cluster):
    first, second = start(cluster), start(cluster)
    # As `kubectl exec -it ... -- bash` does.
    make = "umask; mkdir /scratch/data && echo one > /scratch/data/file && echo mine > /scratch/note"
    made = first.execute(["bash", "-i", "-c", make])
    expect("0002" in made.text, f"a shell that somebody opens has the umask {made.text!r}")
    # As `kubectl exec ... -- bash -c` does.
    expect_equal(first.execute(["bash", "-c", "echo one > /scratch/data/command"]).code, 0, "the exit code")
    top = cluster.claim("scratch-inc-4711-scratch")
    for name, mode in [("data", 0o2775), ("data/file", 0o664), ("data/command", 0o664), ("note", 0o664)]:
        about = (top / name).stat()
        expect_equal((about.st_uid, about.st_gid), (1000, 100), f"the owner of {name}")
        expect_equal(oct(stat.S_IMODE(about.st_mode)), oct(mode), f"the mode of {name}")
    # Somebody else of the group, as with another image.
    second.identity.arguments[0] = "--reuid=2001"
    change = "echo two >> /scratch/data/file && echo new > /scratch/data/theirs && rm /scratch/note"
    changed = second.execute(["bash", "-c", change])
    expect_equal(changed.code, 0, f"the exit code of a change from another pod, which said {changed.text}")
    expect_equal((top / "data/file").read_text(), "one\ntwo\n", "the file")
