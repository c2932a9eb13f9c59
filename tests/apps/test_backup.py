"""T2: the backup's script against the rendered database, and the restore that its header describes."""

import subprocess

from app import app
from failure import expect, expect_equal, until
from test_mariadb import ask, start_database

TABLES = """
CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(100)) CHARACTER SET utf8mb4;
CREATE TABLE blobs (id INT PRIMARY KEY, body LONGBLOB NOT NULL);
INSERT INTO people VALUES (1, 'Ada 😀'), (2, 'Zoë — 雪'), (3, 'O''Brien; -- "');
INSERT INTO blobs SELECT seq, RANDOM_BYTES(1024) FROM seq_1_to_500;
CREATE TRIGGER loud BEFORE INSERT ON people FOR EACH ROW SET NEW.name = UPPER(NEW.name);
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n;
"""
CHECKSUMS = "CHECKSUM TABLE people, blobs EXTENDED; SELECT HEX(name) FROM people ORDER BY id"
OLDER = "app-20200101T020000Z.sql.gz"


def dumps(cluster):
    """Returns the names of what is on the backup volume."""
    return sorted(each.name for each in cluster.claim("nc-backup").iterdir())


def start(cluster):
    """Starts the database with something in it, and puts an older dump on the backup volume."""
    server = start_database(cluster)
    ask(server, TABLES)
    pod = cluster.pod("CronJob", "nc-backup")
    pod.steps()
    (cluster.claim("nc-backup") / OLDER).write_text("an older dump")
    return server, pod


def expect_refused(cluster, ended, why):
    """Fails unless the backup failed and left nothing that looks like a dump."""
    expect(ended.code != 0, f"{why}, and the backup succeeds:\n{ended.text}")
    finals = [each for each in dumps(cluster) if each.endswith(".sql.gz")]
    expect_equal(finals, [OLDER], f"{why}: the list of dumps")


@app("nextcloud")
def test_what_was_dumped_comes_back(cluster):
    server, pod = start(cluster)
    wanted = ask(server, CHECKSUMS)
    backup = pod.start("backup", traced=True)
    expect_equal(backup.wait().code, 0, f"the exit code of the backup, which said {backup.text()}, and")
    _, dump = dumps(cluster)
    password = cluster.secret("nc-credentials", "db-password")
    seen = [each for each in backup.arguments() if password in each]
    expect(not seen, f"the password is among the arguments of {seen}")
    expect(len(backup.arguments()) > 5, "the arguments of the backup's processes were not seen")

    ask(server, "DROP DATABASE app; CREATE DATABASE app CHARACTER SET latin1")
    restore = cluster.pod("CronJob", "nc-backup")
    restore.must("backup", command=["bash", "-euo", "pipefail", "-c", restore_command(cluster, dump)])
    expect_equal(ask(server, CHECKSUMS), wanted, "the content after the restore")
    expect("F09F9880" in wanted, "the emoji was not even stored")
    expect_equal(ask(server, "SELECT twice(21)"), "42", "what a restored function returns")
    ask(server, "INSERT INTO people VALUES (4, 'quiet')")
    expect_equal(ask(server, "SELECT name FROM people WHERE id = 4"), "QUIET", "a restored trigger's work")


def restore_command(cluster, dump):
    """Returns the command in the script's header, with its placeholders filled in."""
    script = dict(cluster.rendered.files())["mariadb-backup.sh"]
    (line,) = [each for each in script.splitlines() if each.startswith("# Restore:")]
    words = line.removeprefix("# Restore:").split()
    # A person types the password; here a variable has it.
    words.remove("-p")
    places = {"FILE": f"/backup/{dump}", "HOST": "nc-db", "USER": "app", "NAME": "app"}
    command = " ".join(places.get(word, word) for word in words)
    return f'export MYSQL_PWD="$(cat /run/secrets/pso/db-password)"; {command}'


@app("nextcloud")
def test_only_the_oldest_make_room(cluster):
    _, pod = start(cluster)
    folder = cluster.claim("nc-backup")
    (folder / OLDER).unlink()
    days = [f"app-202001{day:02}T020000Z.sql.gz" for day in range(1, 21)]
    others = ["app-20200101T020000Z.txt", "other-20190101T020000Z.sql.gz"]
    for name in days + others:
        (folder / name).write_text(name)
    (folder / "app-20200121T020000Z.sql.gz.part").write_text("cut short by the loss of a node")
    pod.must("backup")
    fresh = sorted(set(dumps(cluster)) - set(days) - set(others))
    expect_equal(len(fresh), 1, "the number of new dumps")
    (new,) = fresh
    expect(new.startswith("app-2"), f"the new dump is called {new}")
    # 14 are kept: the new one and the 13 newest of the others.
    expect_equal(dumps(cluster), sorted([*days[-13:], *others, new]), "what is left")


@app("nextcloud")
def test_a_wrong_password_leaves_no_dump(cluster):
    start(cluster)
    cluster.secrets["nc-credentials", "db-password"] = "wrong"
    ended = cluster.pod("CronJob", "nc-backup").run("backup")
    expect_refused(cluster, ended, "the password is wrong")
    expect("Access denied" in ended.text, f"it does not say why:\n{ended.text}")


@app("nextcloud")
def test_a_dump_that_dies_leaves_no_dump(cluster):
    _, pod = start(cluster)
    dies = '#!/bin/bash\n/usr/bin/mariadb-dump "$@" | head -c 4000\nkill -KILL $$\n'
    ended = pod.run("backup", files={"/usr/local/bin/mariadb-dump": dies})
    expect_refused(cluster, ended, "the dump was killed")


@app("nextcloud")
def test_a_dump_that_ends_early_leaves_no_dump(cluster):
    _, pod = start(cluster)
    short = '#!/bin/bash\n/usr/bin/mariadb-dump "$@" | head -c 4000\nexit 0\n'
    ended = pod.run("backup", files={"/usr/local/bin/mariadb-dump": short})
    expect_refused(cluster, ended, "the dump ended early")
    expect("not complete" in ended.text, f"it does not say why:\n{ended.text}")


@app("nextcloud")
def test_a_full_volume_leaves_no_dump(cluster):
    folder = cluster.claim("nc-backup")
    tiny = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", folder]
    subprocess.run(tiny, check=True)
    _, pod = start(cluster)
    ended = pod.run("backup")
    expect_refused(cluster, ended, "the volume is full")
    expect("No space left" in ended.text, f"it does not say why:\n{ended.text}")


@app("nextcloud")
def test_a_shrunken_dump_pushes_none_out(cluster):
    _, pod = start(cluster)
    folder = cluster.claim("nc-backup")
    days = [f"app-202001{day:02}T020000Z.sql.gz" for day in range(1, 21)]
    for name in days:
        (folder / name).write_bytes(bytes(8 * 2**20))
    ended = pod.run("backup")
    expect(ended.code != 0, f"a dump that lost most of the data is taken for good:\n{ended.text}")
    expect("less than half" in ended.text, f"it does not say why:\n{ended.text}")
    expect_equal(len(dumps(cluster)), 21, "the number of dumps")


@app("nextcloud")
def test_takes_a_password_with_quotes(cluster):
    cluster.secrets["nc-credentials", "db-password"] = """it's "a\\b" # c"""
    _, pod = start(cluster)
    pod.must("backup")
    expect_equal(len(dumps(cluster)), 2, "the number of dumps")


def restore(cluster):
    """Runs the job that puts a dump back."""
    pod = cluster.pod("CronJob", "nc-restore")
    pod.steps()
    return pod.run("restore")


@app("nextcloud")
def test_the_job_puts_the_newest_dump_back(cluster):
    server, pod = start(cluster)
    wanted = ask(server, CHECKSUMS)
    pod.must("backup")
    ask(server, "DELETE FROM blobs; CREATE TABLE younger (id INT); INSERT INTO younger VALUES (7)")
    ended = restore(cluster)
    expect_equal(ended.code, 0, f"the exit code of the restore, which said\n{ended.text}\nIt")
    expect_equal(ask(server, CHECKSUMS), wanted, "the content after the restore")
    expect_equal(ask(server, "SHOW TABLES LIKE 'younger'"), "", "a table that is younger than the dump")
    (before,) = [each for each in dumps(cluster) if each.startswith("before-restore-")]
    kept = subprocess.run(["zgrep", "-c", "younger", cluster.claim("nc-backup") / before], check=False)
    expect_equal(kept.returncode, 0, "the look for what was there before, in its dump: its exit code")


@app("nextcloud")
def test_the_job_waits_for_nobody_to_be_connected(cluster):
    server, pod = start(cluster)
    pod.must("backup")
    client = 'MYSQL_PWD=$(cat "$0") exec mariadb -h nc-db -u app app -e "SELECT SLEEP(60)"'
    other = pod.start("backup", command=["sh", "-c", client, "/run/secrets/pso/db-password"])
    until(lambda: "SLEEP" in ask(server, "SHOW PROCESSLIST"), "connection of somebody else")
    ended = restore(cluster)
    other.kill()
    expect(ended.code != 0, f"it restores under a running app:\n{ended.text}")
    expect("others are connected" in ended.text, f"it does not say why:\n{ended.text}")


@app("nextcloud")
def test_the_job_refuses_a_dump_that_is_cut_short(cluster):
    server, _ = start(cluster)
    wanted = ask(server, CHECKSUMS)
    ended = restore(cluster)
    expect(ended.code != 0, f"it restores what is no dump:\n{ended.text}")
    expect_equal(ask(server, CHECKSUMS), wanted, "the content afterwards")


@app("nextcloud")
def test_waits_for_a_database_that_restarts(cluster):
    server, pod = start(cluster)
    server.stop()
    backup = pod.start("backup")
    until(lambda: "waiting for the database" in backup.text() or not backup.is_running(), "backup that waits")
    expect(backup.is_running(), f"it does not wait:\n{backup.text()}")
    start_database(cluster)
    expect_equal(backup.wait().code, 0, f"the exit code of the backup, which said {backup.text()}, and")
    expect_equal(len(dumps(cluster)), 2, "the number of dumps")


@app("nextcloud")
def test_says_at_once_that_the_password_is_wrong(cluster):
    _, pod = start(cluster)
    cluster.secrets["nc-credentials", "db-password"] = "another"
    ended = cluster.pod("CronJob", "nc-backup").start("backup").wait(30)
    expect_refused(cluster, ended, "the password is wrong")
    expect("Access denied" in ended.text, f"it does not say why:\n{ended.text}")
