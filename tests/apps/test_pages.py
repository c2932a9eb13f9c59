"""The commands of `docs/nextcloud.md` and `docs/owncloud.md`, as a reader pastes them, against the app of the page."""

import pathlib
import re
import time

from app import app
from failure import expect, expect_equal, until
from kubectl import Kubectl
from services import sql
from test_nextcloud import events

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def blocks(page, heading):
    """Returns the shell blocks that a page has under a heading."""
    section = (DOCS / page).read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    expect(found, f"{page} has no commands under {heading}")
    return found


def password(cluster, key):
    """Returns a password as the cluster has it."""
    return cluster.secret(f"{cluster.name}-credentials", key)


def occ(kubectl, job):
    """Runs the job `occ` in a new pod, which reads the passwords as they are now."""
    kubectl.run(f"kubectl create job {job} --from=cronjob/{kubectl.cluster.name}-occ\n"
                f"kubectl wait --for=condition=complete job/{job} --timeout=1m")


def restores(cluster, page):
    kubectl = Kubectl(cluster)
    printed = kubectl.run("".join(blocks(page, "Install")[0].splitlines(keepends=True)[1:]))
    expect_equal(printed, password(cluster, "admin-password"), "the administrator's password")
    sql(cluster, "CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)")

    backup, back_to_work = blocks(page, "Back up")
    printed = kubectl.run(backup)
    dump = re.search(r"wrote /backup/(app-\S+\.sql\.gz)", printed)
    expect(dump, f"the backup does not name its dump:\n{printed}")
    kubectl.run(back_to_work)
    sql(cluster, "DROP TABLE kept; CREATE TABLE younger (n INT)")

    stop, newest, named, start, let_see = blocks(page, "Restore")
    kubectl.run(stop)
    expect_equal(kubectl.suspended, {f"{cluster.name}-{each}" for each in ("cron", "backup")}, "the jobs that wait")
    printed = kubectl.run(newest)
    expect(f"restored {dump[1]}" in printed, f"another dump was restored:\n{printed}")
    expect_equal(sql(cluster, "SELECT n FROM kept"), ["7"], "the content after the restore")
    expect_equal(sql(cluster, "SHOW TABLES LIKE 'younger'"), [], "tables that are younger than the dump")

    # The dump of the state before, by its name.
    (before,) = [each.name for each in cluster.claim(f"{cluster.name}-backup").glob("before-restore-*")]
    (example,) = re.findall(r"RESTORE=(\S+)", named)
    # The next job names its dump by the second, too.
    until(lambda: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) not in before, "next second", 5)
    kubectl.run(named.replace(example, before))
    expect_equal(sql(cluster, "SHOW TABLES LIKE 'younger'"), ["younger"], "tables of the dump that was named")
    kubectl.run(named.replace(example, dump[1]).replace("restore-2", "restore-3"))

    kubectl.run(start)
    expect_equal(kubectl.suspended, set(), "the jobs that wait at the end")
    kubectl.run(let_see)
    expect_equal(events(cluster)[-2:], ["maintenance:data-fingerprint", "files:scan"], "the last steps")
    expect_equal(sql(cluster, "SELECT n FROM kept"), ["7"], "the content at the end")


def rotates(cluster, page):
    kubectl = Kubectl(cluster)
    keys = ["db-password", "db-root-password", "redis-password"]
    for key, script in zip(keys, blocks(page, "Rotate"), strict=True):
        before = {each: password(cluster, each) for each in keys}
        kubectl.run(script)
        changed = [each for each in keys if password(cluster, each) != before[each]]
        expect_equal(changed, [key], "the passwords that changed")
        occ(kubectl, f"after-{key}")
        user = {"db-password": "app", "db-root-password": "root"}.get(key)
        for each, wanted in [(before[key], False), (password(cluster, key), True)]:
            if user:
                server = cluster.services["db"]
                command = ["mariadb", f"--user={user}", "--execute=SELECT 1"]
                command += [f"--host={cluster.name}-db"] if user == "app" else []
                variable = "MYSQL_PWD"
            else:
                server = cluster.services["redis"]
                command, variable = ["sh", "-c", "valkey-cli ping | grep PONG"], "REDISCLI_AUTH"
            server.variables[variable] = each
            ended = server.execute(command)
            expect_equal(ended.code == 0, wanted, f"whether {key} is accepted, with the answer {ended.text}, ")
            del server.variables[variable]


@app("nextcloud.md")
def test_nextcloud_is_backed_up_and_restored(cluster):
    restores(cluster, "nextcloud.md")


@app("owncloud.md")
def test_owncloud_is_backed_up_and_restored(cluster):
    restores(cluster, "owncloud.md")


@app("nextcloud.md")
def test_passwords_of_nextcloud_are_changed(cluster):
    rotates(cluster, "nextcloud.md")


@app("owncloud.md")
def test_passwords_of_owncloud_are_changed(cluster):
    rotates(cluster, "owncloud.md")
