"""T6: installing ownCloud under a lock that its image does not have, with a stand-in for the image."""

from app import app
from failure import expect, expect_equal
from test_nextcloud import events, expect_waits, has_come_to, hold

FIRST = "install 10.16.4"
ALONE = ["/usr/bin/entrypoint", "/usr/bin/owncloud", "true"]


def prepared(cluster):
    """Returns a pod of the web server after the steps before its installation."""
    pod = cluster.pod("Deployment", "oc-web")
    for step in pod.spec["initContainers"]:
        # The step with settings takes the same lock: it would wait here already.
        if step["name"] not in ("settings", "install", "first-settings"):
            pod.must(step["name"])
    return pod


def start(cluster, command=None, files=None):
    """Starts the installation of one more pod, after the steps before it."""
    return prepared(cluster).start("install", command=command, files=files)


def start_job(cluster, name, files=None):
    """Starts a job's pod."""
    pod = cluster.pod("CronJob", f"oc-{name}")
    pod.steps()
    return pod.start(name, files=files)


def expect_done(*running):
    """Fails unless all end well."""
    for each in running:
        expect_equal(each.wait().code, 0, f"the exit code of a pod, which said\n{each.text()}\nIt")


def at_once(cluster, stage, **how):
    """Starts two pods, the second while the first is at a stage: it must wait. Then lets both go on."""
    go_on = hold(cluster, stage)
    first = start(cluster, **how)
    has_come_to(cluster, stage)
    second = start(cluster, **how)
    expect_waits(cluster, second, stage)
    go_on()
    return first, second


@app("owncloud")
def test_without_a_lock_two_pods_break_each_other(cluster):
    # What the lock is for: otherwise the tests below prove nothing.
    go_on = hold(cluster, "tables")
    first = start(cluster, command=ALONE)
    has_come_to(cluster, "tables")
    ended = start(cluster, command=ALONE).wait()
    expect_equal(ended.code, 1, f"the exit code of the second pod, which said\n{ended.text}\nIt")
    expect("already exists" in ended.text, f"it fails for another reason:\n{ended.text}")
    go_on()
    expect_done(first)


@app("owncloud")
def test_two_pods_at_once_install_once(cluster):
    first, second = at_once(cluster, "tables")
    expect_done(first, second)
    expect_equal(events(cluster), [FIRST], "what was done to the database")


@app("owncloud")
def test_two_pods_at_once_upgrade_once(cluster):
    expect_done(start(cluster))
    later = {"/usr/share/owncloud-version": "10.17.0\n"}
    expect_done(*at_once(cluster, "upgrade", files=later))
    expect_equal(events(cluster), [FIRST, "upgrade 10.17.0"], "what was done to the database")


@app("owncloud")
def test_is_not_served_unless_installed(cluster):
    # A start sequence that believes itself done.
    lazy = '#!/bin/bash\nexec "$@"\n'
    ended = start(cluster, files={"/usr/bin/owncloud": lazy}).wait()
    expect(ended.code != 0, f"a pod may serve, and nothing is installed:\n{ended.text}")
    expect("not installed" in ended.text, f"it does not say why it fails:\n{ended.text}")


@app("owncloud")
def test_gets_its_settings_from_the_environment(cluster):
    pod = cluster.pod("Deployment", "oc-web")
    pod.steps()
    lines = (cluster.claim("oc-files") / "config" / "overwrite.config").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    password = cluster.secret("oc-credentials", "redis-password")
    wanted = {
        "OWNCLOUD_TRUSTED_DOMAINS": "files.example.com,oc-web",
        "OWNCLOUD_REDIS_PASSWORD": password,
        "OWNCLOUD_SESSION_SAVE_PATH": f"tcp://oc-redis:6379?auth={password}",
        "OWNCLOUD_DB_PASSWORD": cluster.secret("oc-credentials", "db-password"),
    }
    expect_equal({name: seen.get(name) for name in wanted}, wanted, "what ownCloud was told")


@app("owncloud")
def test_background_jobs_keep_away_from_an_installation(cluster):
    go_on = hold(cluster, "tables")
    first = start(cluster)
    has_come_to(cluster, "tables")
    expect_done(start_job(cluster, "cron"))
    expect_equal(events(cluster), [], "what was done while the installation was under way")
    go_on()
    expect_done(first)
    expect_done(start_job(cluster, "cron"))
    expect_equal(events(cluster), [FIRST, "system:cron"], "what was done afterwards")


@app("owncloud")
def test_jobs_do_not_install_it(cluster):
    # They lack the administrator's password: the image would take admin/admin.
    prepared(cluster)
    expect_done(start_job(cluster, "cron"))
    expect_equal(events(cluster), [], "what was done to the database")
    ended = start_job(cluster, "occ").wait()
    expect_equal(ended.code, 1, f"the exit code of a command, which said\n{ended.text}\nIt")
    expect("not installed yet" in ended.text, f"it fails for another reason:\n{ended.text}")
    expect_equal(events(cluster), [], "what was done to the database")
    expect_done(start(cluster))
    expect_equal(events(cluster), [FIRST], "what was done to the database")


@app("owncloud")
def test_background_jobs_keep_away_from_an_upgrade(cluster):
    expect_done(start(cluster))
    later = {"/usr/share/owncloud-version": "10.17.0\n"}
    go_on = hold(cluster, "upgrade")
    first = start(cluster, files=later)
    has_come_to(cluster, "upgrade")
    expect_done(start_job(cluster, "cron", files=later))
    expect_equal(events(cluster), [FIRST], "what was done while the upgrade was under way")
    go_on()
    expect_done(first)


@app("owncloud")
def test_a_command_that_is_asked_for_keeps_away_from_an_upgrade(cluster):
    # The image's start sequence comes before every command, and upgrades too.
    expect_done(start(cluster))
    later = {"/usr/share/owncloud-version": "10.17.0\n"}
    go_on = hold(cluster, "upgrade")
    first = start(cluster, files=later)
    has_come_to(cluster, "upgrade")
    pod = cluster.pod("CronJob", "oc-occ")
    pod.steps()
    asked = pod.start("occ", files=later)
    expect_waits(cluster, asked, "upgrade")
    go_on()
    expect_done(first, asked)
    expect_equal(events(cluster), [FIRST, "upgrade 10.17.0", "user:report"], "what was done")
