"""T6: installing ownCloud under a lock that its image does not have, with a stand-in for the image and the real database."""

import subprocess

from app import app
from failure import expect, expect_equal, until
from services import services, sql
from test_nextcloud import events, expect_waits, has_come_to, hold

FIRST = "install 10.16.4.1"
LATER = {"/var/www/owncloud/version.php": "<?php\n$OC_Version = [10, 17, 0, 1];\n"}
ALONE = ["env", "PSO_MAY_INSTALL=yes", "/usr/bin/entrypoint", "/usr/bin/owncloud", "true"]


def prepared(cluster):
    """Returns a pod of the web server after the steps before its installation, beside its database and cache."""
    services(cluster)
    return prepared_alone(cluster)


def prepared_alone(cluster):
    """Returns a pod of the web server after the steps before its installation, without a database and cache of the app."""
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
    expect_done(*at_once(cluster, "upgrade", files=LATER))
    expect_equal(events(cluster), [FIRST, "upgrade 10.17.0.1"], "what was done to the database")


@app("owncloud")
def test_is_not_served_unless_installed(cluster):
    # A start sequence that believes itself done.
    lazy = '#!/bin/bash\nexec "$@"\n'
    ended = start(cluster, files={"/usr/bin/owncloud": lazy}).wait()
    expect(ended.code != 0, f"a pod may serve, and nothing is installed:\n{ended.text}")
    expect("not installed" in ended.text, f"it does not say why it fails:\n{ended.text}")


@app("owncloud")
def test_gets_its_settings_from_the_environment(cluster):
    services(cluster)
    pod = cluster.pod("Deployment", "oc-web")
    pod.steps()
    lines = (cluster.claim("oc-files") / "config" / "overwrite.config.php").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    password = cluster.secret("oc-credentials", "redis-password")
    wanted = {
        "OWNCLOUD_TRUSTED_DOMAINS": "files.example.com,oc-web",
        "OWNCLOUD_REDIS_PASSWORD": password,
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
    expect_equal(events(cluster), [FIRST, "system:cron", "dav:cleanup-chunks"], "what was done afterwards")


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
    go_on = hold(cluster, "upgrade")
    first = start(cluster, files=LATER)
    has_come_to(cluster, "upgrade")
    expect_done(start_job(cluster, "cron", files=LATER))
    expect_equal(events(cluster), [FIRST], "what was done while the upgrade was under way")
    go_on()
    expect_done(first)


@app("owncloud")
def test_a_command_that_is_asked_for_keeps_away_from_an_upgrade(cluster):
    # The image's start sequence comes before every command, and upgrades too.
    expect_done(start(cluster))
    go_on = hold(cluster, "upgrade")
    first = start(cluster, files=LATER)
    has_come_to(cluster, "upgrade")
    pod = cluster.pod("CronJob", "oc-occ")
    pod.steps()
    asked = pod.start("occ", files=LATER)
    expect_waits(cluster, asked, "upgrade")
    go_on()
    expect_done(first, asked)
    expect_equal(events(cluster), [FIRST, "upgrade 10.17.0.1", "user:report"], "what was done")


def calls(cluster):
    """Returns the occ commands that were run, without those of the tests before."""
    return (cluster.database / "calls").read_text().splitlines()


@app("owncloud")
def test_jobs_leave_the_start_sequence_out(cluster):
    # It would upgrade twice for each command.
    expect_done(start(cluster))
    for job, wanted in (("cron", ["system:cron", "dav:cleanup-chunks"]), ("occ", ["user:report"])):
        (cluster.database / "calls").unlink()
        expect_done(start_job(cluster, job))
        seen = [each.replace("--no-interaction", "").strip() for each in calls(cluster)]
        expect_equal(seen, wanted, f"what the job {job} runs")


@app("owncloud")
def test_an_upgrade_waits_for_background_jobs(cluster):
    expect_done(start(cluster))
    go_on = hold(cluster, "cron")
    job = start_job(cluster, "cron")
    has_come_to(cluster, "cron")
    # A restart of the same version does not wait.
    expect_done(start(cluster))
    upgrade = start(cluster, files=LATER)
    expect_waits(cluster, upgrade, "upgrade")
    go_on()
    expect_done(job, upgrade)
    wanted = [FIRST, "system:cron", "dav:cleanup-chunks", "upgrade 10.17.0.1"]
    expect_equal(events(cluster), wanted, "what was done")


@app("owncloud")
def test_a_job_whose_lock_fails_does_not_succeed(cluster):
    expect_done(start(cluster))
    ended = start_job(cluster, "cron", files={"/usr/bin/flock": "#!/bin/sh\nexit 71\n"}).wait()
    expect_equal(ended.code, 71, f"the exit code of a job that cannot lock, and said\n{ended.text}\nIt")


@app("owncloud")
def test_an_upgrade_that_was_killed_is_finished(cluster):
    expect_done(start(cluster))
    go_on = hold(cluster, "upgrade")
    pod = start(cluster, files=LATER)
    has_come_to(cluster, "upgrade")
    pod.kill()
    go_on()
    config = cluster.claim("oc-files") / "config" / "config.php"
    expect("'maintenance' => true" in config.read_text(), "the upgrade was killed too early")
    expect_done(start(cluster, files=LATER))
    expect("'maintenance' => false" in config.read_text(), f"it stays in maintenance:\n{config.read_text()}")
    expect_equal(events(cluster), [FIRST, "upgrade 10.17.0.1"], "what was done to the database")


@app("owncloud")
def test_an_operators_maintenance_mode_stays(cluster):
    expect_done(start(cluster))
    pod = cluster.pod("CronJob", "oc-occ")
    pod.steps()
    script = dict(cluster.rendered.files())["owncloud-occ.sh"]
    command = ["bash", "-c", script, "occ", "maintenance:mode", "--on"]
    expect_equal(pod.run("occ", command=command).code, 0, "the exit code of the command")
    expect_done(start(cluster))
    config = (cluster.claim("oc-files") / "config" / "config.php").read_text()
    expect("'maintenance' => true" in config, f"a restart ends the maintenance mode:\n{config}")


@app("owncloud")
def test_an_installation_that_was_killed_is_done_again(cluster):
    go_on = hold(cluster, "tables")
    pod = start(cluster)
    has_come_to(cluster, "tables")
    pod.kill()
    go_on()
    expect_done(start(cluster))
    expect_equal(events(cluster), [FIRST], "what was done to the database")
    expect_equal(sql(cluster, "SHOW TABLES"), ["oc_users"], "the tables after the installation")


@app("owncloud")
def test_settings_inside_others_are_not_those_of_the_installation(cluster):
    pod = prepared(cluster)
    pod.must("install")
    config = cluster.claim("oc-files") / "config" / "config.php"
    # As ownCloud writes it, with an object store of the app file.
    code = '''require $argv[1];
    $CONFIG = ["store" => ["version" => "2.0", "installed" => false, "maintenance" => true]] + $CONFIG;
    file_put_contents($argv[1], "<?php\\n\\$CONFIG = " . var_export($CONFIG, true) . ";\\n");'''
    subprocess.run(["php", "-r", code, config], check=True)
    expect_done(start(cluster))
    expect_equal(events(cluster), [FIRST], "what was done to the database")


@app("owncloud")
def test_a_running_pod_never_installs(cluster):
    # Volume and database are emptied under it, and its container starts again: as admin/admin.
    pod = prepared(cluster)
    pod.must("install")
    web = pod.start("web")
    until(lambda: "Starting apache" in web.text() or not web.is_running(), "web server")
    expect(web.is_running(), f"the web server does not start:\n{web.text()}")
    web.kill()
    sql(cluster, "DROP TABLE oc_users")
    (cluster.claim("oc-files") / "config" / "config.php").unlink()
    web = pod.start("web")
    until(lambda: "Starting apache" in web.text() or not web.is_running(), "end of the web server")
    expect(not web.is_running() and web.wait().code != 0, f"it starts without an installation:\n{web.text()}")
    expect("is not installed" in web.text(), f"it does not say why it fails:\n{web.text()}")
    expect_equal(events(cluster), [FIRST], "what was done to the database")


@app("owncloud")
def test_logs_in_with_any_password_of_the_cache(cluster):
    cluster.secrets["oc-credentials", "redis-password"] = "a+b/c=%41&d"
    pod = prepared(cluster)
    pod.must("install")
    log_in = 'session_id("s1"); session_start(); $_SESSION["user"] = "ada"; session_write_close();'
    log_in += ' session_start(); echo $_SESSION["user"], " ", ini_get("redis.session.lock_expire");'
    server = f"#!/bin/sh\nexport PHP_INI_SCAN_DIR=\"$PHP_INI_SCAN_DIR:/etc/php-owncloud\"\nexec php -r '{log_in}'\n"
    ended = pod.run("web", files={"/usr/bin/server": server})
    expect(ended.text.endswith("ada 60"), f"what a session holds, and its lock's seconds:\n{ended.text}")
