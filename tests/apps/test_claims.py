"""Claims that the app file names: they have the app's own data, nothing, or something else; in three layouts."""

import os
import pathlib
import subprocess

from app import app
from failure import expect, expect_equal
from services import services, sql, start_service
from test_nextcloud import FIRST, events, install, start_alone
from test_owncloud import FIRST as FIRST_OF_OWNCLOUD
from test_owncloud import start as start_owncloud
from test_volume_owner import owner

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def commands(page, heading):
    """Returns the commands that a page gives under a heading."""
    section = (DOCS / page).read_text().split(f"\n### {heading}\n", 1)[1].split("\n##", 1)[0]
    return section.split("```text\n", 1)[1].split("```", 1)[0]


def fill(folder, names, user=33):
    """Puts files into a folder, each with its name as text. A name that ends in `/` is a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(name)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user, user)


def tree(folder):
    """Returns all that is in a folder, with owners, modes and texts."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        found[str(path.relative_to(folder))] = (owner(path)[0], path.is_file() and path.read_bytes())
    return found


def move(cluster, old, new):
    """Gives a claim another name, with all that is in it."""
    target = cluster.claim(new)
    target.rmdir()
    cluster.claim(old).rename(target)


def expect_refused(cluster, kind, name, step, claim, *words):
    """Fails unless a step refuses a claim, leaves it as it is, and says these words."""
    before = tree(cluster.claim(claim))
    ended = cluster.pod(kind, name).run(step)
    expect_equal(ended.code, 1, f"the exit code of {step}, which said\n{ended.text}\nIt")
    for word in words:
        expect(word in ended.text, f"it does not say {word!r}:\n{ended.text}")
    # Kubernetes shows the last 2048 bytes.
    expect(len(ended.text) < 2048, f"it says too much for `kubectl describe`:\n{ended.text}")
    expect(tree(cluster.claim(claim)) == before, f"it changed the claim:\n{tree(cluster.claim(claim))}")


@app("nextcloud-taken")
def test_peoples_folders_are_not_taken_for_the_program(cluster):
    fill(cluster.claim("old-html"), [".ncdata", "index.html", "alice/files/thesis.odt", "bob/"])
    words = ["`old-html`", "other data than NextCloud/html", "alice", "version.php"]
    expect_refused(cluster, "Deployment", "nc-web", "pso-volumes-give", "old-html", *words)


@app("nextcloud-taken")
def test_the_program_is_not_taken_for_peoples_folders(cluster):
    fill(cluster.claim("old-data"), ["version.php", "config/config.php"])
    expect_refused(cluster, "Deployment", "nc-web", "pso-volumes-give", "old-data", "NextCloud/data", ".ncdata")


@app("nextcloud-taken")
def test_every_volume_refuses_the_others(cluster):
    # As the app leaves them, one for another.
    cluster.blocks = {"old-db"}
    cluster.pod("Deployment", "nc-web").must("pso-volumes-give")
    move(cluster, "old-html", "away")
    move(cluster, "old-data", "old-html")
    expect_refused(cluster, "Deployment", "nc-web", "pso-volumes-give", "old-html", "is the volume NextCloud/data")


@app("nextcloud-taken")
def test_old_files_do_not_get_a_new_installation(cluster):
    cluster.blocks = {"old-db"}
    fill(cluster.claim("old-data"), [".ncdata", "appdata_x/", "alice/files/thesis.odt"])
    services(cluster)
    ended = start_alone(cluster).wait()
    expect(ended.code != 0, f"it installs over files:\n{ended.text}")
    for word in ("alice", "config/config.php", "data has files"):
        expect(word in ended.text, f"it does not say {word!r}:\n{ended.text}")
    expect_equal(events(cluster), [], "what was done to the database")
    expect_equal(sql(cluster, "SHOW TABLES"), [], "the tables")


@app("nextcloud-taken")
def test_an_old_database_does_not_get_a_new_installation(cluster):
    cluster.blocks = {"old-db"}
    services(cluster)
    sql(cluster, "CREATE TABLE oc_users (uid VARCHAR(64)); INSERT INTO oc_users VALUES ('chief')")
    ended = start_alone(cluster).wait()
    expect(ended.code != 0, f"it installs over tables:\n{ended.text}")
    expect("has 1 tables already" in ended.text, f"it does not say why:\n{ended.text}")
    expect_equal(sql(cluster, "SELECT uid FROM oc_users"), ["chief"], "what was there")
    expect(not (cluster.claim("old-html") / "version.php").exists(), "the program was put there all the same")


@app("nextcloud-taken")
def test_an_installed_program_does_not_get_an_empty_database(cluster):
    cluster.blocks = {"old-db"}
    install(cluster)
    sql(cluster, "DROP TABLE oc_users")
    ended = start_alone(cluster).wait()
    expect(ended.code != 0 and "is empty" in ended.text, f"it does not say what is missing:\n{ended.text}")
    sql(cluster, "CREATE TABLE oc_users (uid VARCHAR(64))")
    (cluster.claim("old-data") / ".ncdata").unlink()
    ended = start_alone(cluster).wait()
    expect(ended.code != 0 and "neither .ncdata" in ended.text, f"it does not say what is missing:\n{ended.text}")


@app("nextcloud-taken")
def test_a_database_at_the_top_of_a_block_volume_is_found(cluster):
    cluster.blocks = {"old-db"}
    fill(cluster.claim("old-db"), ["mysql/", "ibdata1", "nextcloud/", "lost+found/"], 999)
    os.chown(cluster.claim("old-db"), 0, 999)
    cluster.claim("old-db").chmod(0o2775)
    words = ["data at its top", "ibdata1", "`path: .`"]
    expect_refused(cluster, "StatefulSet", "nc-db", "pso-volumes-make", "old-db", *words)


@app("nextcloud-taken")
def test_a_database_in_another_folder_is_found(cluster):
    cluster.blocks = {"old-db"}
    fill(cluster.claim("old-db"), ["data/mysql/", "data/ibdata1"], 999)
    os.chown(cluster.claim("old-db"), 0, 999)
    cluster.claim("old-db").chmod(0o2775)
    expect_refused(cluster, "StatefulSet", "nc-db", "pso-volumes-make", "old-db", "`path: data`")


@app("nextcloud-chart")
def test_a_folder_that_is_not_there_is_not_made(cluster):
    fill(cluster.claim("nextcloud-nextcloud"), ["htdocs/version.php", "data/.ncdata"])
    words = ["no folder `html`", "`path: htdocs`"]
    expect_refused(cluster, "Deployment", "nc-web", "pso-volumes-give", "nextcloud-nextcloud", *words)


@app("nextcloud-chart")
def test_two_folders_of_an_empty_claim_begin_there(cluster):
    one = cluster.claim("nextcloud-nextcloud")
    cluster.pod("Deployment", "nc-web").must("pso-volumes-give")
    notes = [(one / name / ".pso-gen.volume").read_text() for name in ("html", "data")]
    expect_equal(notes, ["NextCloud/html\n", "NextCloud/data\n"], "what the folders are for")
    # As a pod leaves it that has ended between the two.
    (one / "data" / ".pso-gen.volume").unlink()
    (one / "data").rmdir()
    cluster.pod("Deployment", "nc-web").must("pso-volumes-give")


@app("nextcloud-chart")
def test_nothing_is_written_when_the_second_folder_is_refused(cluster):
    fill(cluster.claim("nextcloud-nextcloud"), ["html/", "alice/files/thesis.odt"])
    expect_refused(cluster, "Deployment", "nc-web", "pso-volumes-give", "nextcloud-nextcloud", "no folder `data`")


@app("nextcloud-chart")
def test_the_layout_of_the_official_chart_is_taken_over(cluster):
    cluster.blocks = {"old-db"}
    one = cluster.claim("nextcloud-nextcloud")
    # An app of the same kind, and then its folders as the chart mounts them.
    (one / "html").mkdir()
    (one / "data").mkdir()
    install(cluster)
    expect(not (one / "config").exists(), "the app made folders at the top")
    for name in ("config", "custom_apps", "themes"):
        (one / "html" / name).mkdir(exist_ok=True)
        (one / "html" / name).rename(one / name)
        (one / "html" / name).mkdir()
    (one / "data" / ".pso-gen.volume").unlink()
    ended = start_alone(cluster).wait()
    expect(ended.code != 0, f"it begins without its configuration:\n{ended.text}")
    expect("beside `html`" in ended.text, f"it does not say where it is:\n{ended.text}")

    subprocess.run(["sh", "-euc", commands("nextcloud.md", "From the official Nextcloud chart").replace("/claim", str(one))], check=True)
    # The configuration names the chart's database.
    config = one / "html" / "config" / "config.php"
    text = config.read_text().replace("'nc-db'", "'nextcloud-mariadb'").replace("'app'", "'nextcloud'")
    config.write_text(text)
    ended = start_alone(cluster).wait()
    expect_equal(ended.code, 0, f"the exit code of the installation, which said\n{ended.text}\nIt")
    expect_equal(events(cluster), [FIRST], "what was done to the database")
    expect(((cluster.claim("old-db")) / "mysql").is_dir(), "the database is not at the top")


@app("nextcloud")
def test_a_volume_moves_to_another_class(cluster):
    install(cluster)
    sql(cluster, "CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)")
    cluster.services.pop("db").stop()
    # From a block volume to a file volume, and back to a new block volume.
    text = commands("apps.md", "To another class")
    to_file, to_block = cluster.folder(), cluster.folder()
    lines = [each.split("#")[0] for each in text.splitlines()]
    expect_equal(len(lines), 2, "the number of commands on the page")
    for line, source, target in [(lines[0], cluster.claim("nc-db"), to_file), (lines[1], to_file, to_block)]:
        subprocess.run(["sh", "-euc", line.replace("/from", str(source)).replace("/to", str(target))], check=True)
    expect((to_file / "ibdata1").exists(), "the file volume has another layout")
    cluster.claim("nc-db").rename(cluster.top / "before")
    to_block.rename(cluster.claim("nc-db"))
    cluster.services["db"] = start_service(cluster, "db")
    expect_equal(sql(cluster, "SELECT n FROM kept"), ["7"], "what the database holds after the move")


@app("owncloud-taken")
def test_owncloud_refuses_other_files(cluster):
    fill(cluster.claim("old-files"), ["alice/files/thesis.odt"])
    words = ["`old-files`", "other data than OwnCloud/files", "alice"]
    expect_refused(cluster, "Deployment", "oc-web", "pso-volumes-give", "old-files", *words)


@app("owncloud-taken")
def test_owncloud_finds_the_folder_of_an_older_layout(cluster):
    fill(cluster.claim("old-files"), ["owncloud/config/config.php", "owncloud/files/.ocdata"])
    expect_refused(cluster, "Deployment", "oc-web", "pso-volumes-give", "old-files", "`path: owncloud`")


@app("owncloud-older")
def test_owncloud_continues_in_a_folder_of_its_claim(cluster):
    (cluster.claim("old-files") / "other").mkdir()
    (cluster.claim("old-files") / "owncloud").mkdir()
    for _ in range(2):
        ended = start_owncloud(cluster).wait()
        expect_equal(ended.code, 0, f"the exit code of the installation, which said\n{ended.text}\nIt")
        job = cluster.pod("CronJob", "oc-occ")
        job.steps()
        job.must("occ")
    expect_equal(events(cluster), [FIRST_OF_OWNCLOUD, "user:report", "user:report"], "what was done")
    names = sorted(each.name for each in cluster.claim("old-files").iterdir())
    expect_equal(names, ["other", "owncloud"], "the top of the claim")


@app("owncloud-taken")
def test_owncloud_is_not_installed_over_an_old_database(cluster):
    services(cluster)
    sql(cluster, "CREATE TABLE oc_users (uid VARCHAR(64))")
    ended = start_owncloud(cluster).wait()
    expect(ended.code != 0 and "has 1 tables already" in ended.text, f"it does not refuse:\n{ended.text}")
    sql(cluster, "DROP TABLE oc_users")
    (cluster.claim("old-files") / "files" / "alice").mkdir(parents=True)
    ended = start_owncloud(cluster).wait()
    expect(ended.code != 0 and "alice" in ended.text, f"it does not refuse:\n{ended.text}")
    (cluster.claim("old-files") / "files" / "alice").rmdir()
    ended = start_owncloud(cluster).wait()
    expect_equal(ended.code, 0, f"the exit code on empty volumes, which said\n{ended.text}\nIt")
    expect_equal(events(cluster), [FIRST_OF_OWNCLOUD], "what was done to the database")


@app("scratch-taken")
def test_scratch_takes_no_data_set_away(cluster):
    shell = ("Deployment", "scratch-inc-4711-shell", "pso-volumes-give", "data-set")
    fill(cluster.claim("data-set"), ["alice/files/thesis.odt"])
    expect_refused(cluster, *shell, "data of 33:33", "alice", "ownership: none", "chown 1000:100")
    os.chown(cluster.claim("data-set"), 1000, 100)
    cluster.pod("Deployment", "scratch-inc-4711-shell").must("pso-volumes-give")
    expect_equal(owner(cluster.claim("data-set") / "alice")[0], "33:33 0755", "a folder of the data set")
