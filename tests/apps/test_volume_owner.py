"""T4: the step that gives a volume's top folder to the app's user."""

import os
import stat

from app import app
from failure import expect, expect_equal

NOBODY = 65534


def owner(path):
    """Returns owner and mode of a file, and when either last changed."""
    about = path.stat()
    return f"{about.st_uid}:{about.st_gid} {stat.S_IMODE(about.st_mode):04o}", about.st_ctime_ns


def foreign_file(folder):
    """Makes a file of somebody else, which no step may touch."""
    path = folder / "theirs"
    path.write_text("")
    os.chown(path, 4711, 4711)
    return path


def expect_explained(ended):
    """Fails unless the step failed, and said what can be done about it."""
    expect_equal(ended.code, 1, f"the exit code of a step that said {ended.text!r} and")
    for remedy in ("no_root_squash", "ownership: check"):
        expect(remedy in ended.text, f"the explanation does not name {remedy!r}:\n{ended.text}")


@app("nextcloud")
def test_gives_each_fresh_volume_its_owner_and_mode(cluster):
    pod = cluster.pod("Deployment", "nc-web")
    html, data = cluster.claim("nc-html"), cluster.claim("nc-data")
    (data / ".ncdata").touch()
    theirs = foreign_file(data)
    pod.must("pso-volumes-give")
    expect_equal(owner(html)[0], "33:33 0750", "html")
    expect_equal(owner(data)[0], "33:33 0770", "data")
    expect_equal(owner(theirs)[0], "4711:4711 0644", "a file in data")
    expect_equal(sorted(each.name for each in data.iterdir()), [".ncdata", "theirs"], "what is in data")


@app("nextcloud")
def test_changes_nothing_the_second_time(cluster):
    pod = cluster.pod("Deployment", "nc-web")
    data = cluster.claim("nc-data")
    # The write test makes and removes a file, which changes the time of the folder: without it.
    pod.must("pso-volumes-give")
    before = owner(data)[0]
    step = pod.start("pso-volumes-give", traced=True)
    expect_equal(step.wait().code, 0, "the exit code of the second run")
    changes = [each for each in step.arguments() if "/chown" in each or "/chmod" in each]
    expect(not changes, f"the second run still changes owners or modes: {changes}")
    expect_equal(owner(data)[0], before, "data after the second run")


@app("scratch")
def test_gives_a_shared_folder_to_its_group(cluster):
    folder = cluster.claim("scratch-inc-4711-scratch")
    cluster.pod("Deployment", "scratch-inc-4711-shell").must("pso-volumes-give")
    expect_equal(owner(folder)[0], "1000:100 2775", "the scratch space")


@app("nextcloud")
def test_explains_a_squashed_root(cluster):
    # The server takes root for somebody else: what root does there, nobody does.
    data = cluster.claim("nc-data")
    ended = cluster.pod("Deployment", "nc-web").run("pso-volumes-give", user=NOBODY)
    expect_explained(ended)
    expect_equal(owner(data)[0], "0:0 0755", "data, of a squashed root")


@app("nextcloud")
def test_makes_a_folder_inside_a_block_volume(cluster):
    pod = cluster.pod("StatefulSet", "nc-db")
    top = cluster.claim("nc-db")
    expect_equal(owner(top)[0], "0:999 2775", "the top of the volume, as Kubernetes hands it over")
    pod.must("pso-volumes-make")
    theirs = foreign_file(top)
    expect_equal(owner(top / "db")[0], "999:999 0700", "the database's folder")
    before = owner(top / "db")[0]
    step = pod.start("pso-volumes-make", traced=True)
    expect_equal(step.wait().code, 0, "the exit code of the second run")
    changes = [each for each in step.arguments() if "/chown" in each or "/chmod" in each]
    expect(not changes, f"the second run still changes owners or modes: {changes}")
    expect_equal(owner(top / "db")[0], before, "the database's folder after the second run")
    expect_equal(owner(theirs)[0], "4711:4711 0644", "a file on the volume")


@app("owncloud-owned")
def test_checks_what_the_array_gave_away(cluster):
    pod = cluster.pod("Deployment", "oc-web")
    files = cluster.claim("oc-files")
    ended = pod.run("pso-volumes-check")
    expect_explained(ended)
    expect("write `security:" not in ended.text, f"it advises what is written already:\n{ended.text}")
    expect_equal(owner(files)[0], "0:0 0755", "what a check may not change")
    os.chown(files, 33, 0)
    files.chmod(0o770)
    pod.must("pso-volumes-check")
    expect_equal([each.name for each in files.iterdir()], [".pso-gen.volume"], "what a check leaves behind")
