"""T5: installing and upgrading Nextcloud, with a stand-in for its image and its occ, and the real database."""

import json
import pathlib

from app import app
from failure import expect, expect_equal, until
from services import services, sql

FIRST = "install 34.0.3.2"


def image(*version):
    """Returns what makes the stand-in's image another version."""
    numbers = ", ".join(map(str, version))
    return {"/usr/src/nextcloud/version.php": f"<?php\n$OC_Version = [{numbers}];\n"}


def start(cluster, files=None):
    """Starts the installation of one more pod, after the steps before it, beside its database and cache."""
    services(cluster)
    return start_alone(cluster, files)


def start_alone(cluster, files=None):
    """Starts the installation of one more pod, after the steps before it."""
    pod = cluster.pod("Deployment", "nc-web")
    for step in pod.spec["initContainers"]:
        # The step with settings takes the same lock: it would wait here already.
        if step["name"] not in ("settings", "install", "first-settings"):
            pod.must(step["name"], files=files)
    return pod.start("install", files=files)


def install(cluster):
    """Installs, or fails."""
    ended = start(cluster).wait()
    expect_equal(ended.code, 0, f"the exit code of the installation, which said\n{ended.text}\nIt")


def hold(cluster, stage):
    """Lets whoever comes to a stage wait there. Returns what lets it go on."""
    mark = cluster.database / f"hold-{stage}"
    mark.touch()
    return mark.unlink


def has_come_to(cluster, stage):
    """Waits until somebody is at a stage."""
    mark = cluster.database / f"at-{stage}"
    until(mark.exists, f"installation at the stage {stage!r}")
    mark.unlink()


def expect_waits(cluster, pod, stage):
    """Fails unless a pod waits for a lock while another one is at a stage."""
    mark = cluster.database / f"at-{stage}"

    def settled():
        # A kernel shows who waits for a lock behind who has it.
        waits = "->" in pathlib.Path("/proc/locks").read_text()
        # Unless that one has ended, and handed the lock over to another program.
        waits = waits or "waiting for the jobs" in pod.text() or "waiting for an upgrade" in pod.text()
        return waits or mark.exists() or not pod.is_running()

    until(settled, "pod that waits for a lock")
    expect(not mark.exists(), f"another pod is at the stage {stage!r} too")
    expect(pod.is_running(), f"a pod did not wait:\n{pod.text()}")


def events(cluster):
    """Returns what was done to the database."""
    log = cluster.database / "log"
    return log.read_text().splitlines() if log.exists() else []


def state(cluster):
    """Returns Nextcloud's configuration as it is on the volume."""
    pod = cluster.pod("Deployment", "nc-web")
    show = 'require "/var/www/html/config/config.php"; echo json_encode($CONFIG);'
    return json.loads(pod.must("install", command=["php", "-r", show]))


@app("nextcloud")
def test_two_pods_at_once_install_once(cluster):
    go_on = hold(cluster, "tables")
    first = start(cluster)
    has_come_to(cluster, "tables")
    second = start(cluster)
    expect_waits(cluster, second, "tables")
    go_on()
    for each in (first, second):
        expect_equal(each.wait().code, 0, f"the exit code of a pod, which said\n{each.text()}\nIt")
    expect_equal(events(cluster), [FIRST], "what was done to the database")
    expect_equal(state(cluster)["backgroundjobs_mode"], "cron", "the mode of background jobs")


@app("nextcloud")
def test_puts_configuration_beside_the_images_own(cluster):
    install(cluster)
    config = cluster.claim("nc-html") / "config"
    names = sorted(each.name for each in config.iterdir())
    expect_equal(names, ["config.php", "redis.config.php", "zz-pso.config.php"], "the list of files")
    ours = dict(cluster.rendered.files())["zz-pso.config.php"]
    expect_equal((config / "zz-pso.config.php").read_text(), ours, "the rendered configuration")
    # A later image brings another file of its own.
    later = {"/usr/src/nextcloud/config/redis.config.php": "<?php\n$CONFIG = [];\n"}
    ended = start(cluster, later).wait()
    expect_equal(ended.code, 0, f"the exit code of a restart, which said\n{ended.text}\nIt")
    expect_equal((config / "redis.config.php").read_text(), *later.values(), "the image's own file")
    expect_equal(events(cluster), [FIRST], "what was done to the database")


@app("nextcloud")
def test_an_installation_that_was_killed_is_done_again(cluster):
    # Killed so late, in the second case, that the next installation would find the administrator there.
    for stage in ("tables", "login"):
        go_on = hold(cluster, stage)
        pod = start(cluster)
        has_come_to(cluster, stage)
        pod.kill()
        go_on()
    install(cluster)
    expect_equal(state(cluster)["installed"], True, "installed, where the pod may serve,")
    expect_equal(events(cluster), [FIRST], "what was done to the database")
    expect_equal(sql(cluster, "SHOW TABLES"), ["oc_users"], "the tables after the installation")
    expect(not (cluster.claim("nc-data") / ".pso-gen.installing").exists(), "an installation is still noted")


@app("nextcloud")
def test_never_removes_tables_of_another_database(cluster):
    # The rest of an installation that was cut short, and then another database in its place.
    go_on = hold(cluster, "login")
    pod = start(cluster)
    has_come_to(cluster, "login")
    pod.kill()
    go_on()
    sql(cluster, "UPDATE pso_gen_installing SET token = 'another'; CREATE TABLE oc_filecache (id INT)")
    ended = start(cluster).wait()
    expect(ended.code != 0, f"it installs over a database that has tables:\n{ended.text}")
    expect("has 2 tables already" in ended.text, f"it does not say why:\n{ended.text}")
    expect("oc_filecache" in sql(cluster, "SHOW TABLES"), "the tables of another database are gone")


@app("nextcloud")
def test_waits_for_its_database_and_cache(cluster):
    # Without them, every pod would enter the kubelet's back-off, and stay there for minutes afterwards.
    install(cluster)
    for part in ("db", "redis"):
        cluster.services.pop(part).stop()
        pod = start_alone(cluster)
        until(lambda: "waiting for" in pod.text() or not pod.is_running(), "pod that waits")
        expect(pod.is_running(), f"it does not wait for {part}:\n{pod.text()}")
        noted = cluster.claim("nc-html") / "version.php"
        expect(noted.exists(), "version.php is gone: to the image, that is a new installation")
        job = cluster.pod("CronJob", "nc-cron")
        job.steps()
        job = job.start("cron")
        services(cluster)
        for each in (pod, job):
            expect_equal(each.wait().code, 0, f"the exit code when {part} is back, which said\n{each.text()}\nIt")
    expect_equal(events(cluster), [FIRST, "cron", "cron"], "what was done")


@app("nextcloud")
def test_says_at_once_when_the_database_refuses_it(cluster):
    services(cluster)
    cluster.secrets["nc-credentials", "db-password"] = "another"
    ended = start_alone(cluster).wait(30)
    expect(ended.code != 0, f"a pod may serve:\n{ended.text}")
    expect("refuses the app" in ended.text, f"it does not say why it fails:\n{ended.text}")


@app("nextcloud")
def test_two_pods_at_once_upgrade_once(cluster):
    install(cluster)
    go_on = hold(cluster, "upgrade")
    first = start(cluster, image(35, 0, 1, 0))
    has_come_to(cluster, "upgrade")
    second = start(cluster, image(35, 0, 1, 0))
    expect_waits(cluster, second, "upgrade")
    go_on()
    for each in (first, second):
        expect_equal(each.wait().code, 0, f"the exit code of a pod, which said\n{each.text()}\nIt")
    expect_equal(events(cluster), [FIRST, "upgrade 35.0.1.0"], "what was done to the database")


@app("nextcloud")
def test_an_upgrade_that_was_killed_is_finished(cluster):
    install(cluster)
    go_on = hold(cluster, "upgrade")
    pod = start(cluster, image(35, 0, 1, 0))
    has_come_to(cluster, "upgrade")
    pod.kill()
    go_on()
    ended = start(cluster, image(35, 0, 1, 0)).wait()
    expect_equal(ended.code, 0, f"the exit code of the next start, which said\n{ended.text}\nIt")
    expect_equal(events(cluster), [FIRST, "upgrade 35.0.1.0"], "what was done to the database")
    expect_equal(state(cluster)["maintenance"], False, "the maintenance mode")


@app("nextcloud")
def test_two_pods_at_once_finish_a_killed_upgrade_once(cluster):
    # The image believes the upgrade done, so this is up to the script, and its lock.
    install(cluster)
    go_on = hold(cluster, "upgrade")
    pod = start(cluster, image(35, 0, 1, 0))
    has_come_to(cluster, "upgrade")
    pod.kill()
    first = start(cluster, image(35, 0, 1, 0))
    has_come_to(cluster, "upgrade")
    second = start(cluster, image(35, 0, 1, 0))
    expect_waits(cluster, second, "upgrade")
    go_on()
    for each in (first, second):
        expect_equal(each.wait().code, 0, f"the exit code of a pod, which said\n{each.text()}\nIt")
    expect_equal(events(cluster), [FIRST, "upgrade 35.0.1.0"], "what was done to the database")


@app("nextcloud")
def test_refuses_what_the_image_refuses(cluster):
    install(cluster)
    version = cluster.claim("nc-html") / "version.php"
    before = version.read_text()
    for other in (image(33, 0, 8, 0), image(36, 0, 0, 0)):
        ended = start(cluster, other).wait()
        expect(ended.code != 0, f"it serves after a change that is not supported:\n{ended.text}")
        expect_equal(version.read_text(), before, "the version on the volume")
    expect_equal(events(cluster), [FIRST], "what was done to the database")


@app("nextcloud")
def test_its_jobs_run(cluster):
    install(cluster)
    for job in ("cron", "occ"):
        pod = cluster.pod("CronJob", f"nc-{job}")
        pod.steps()
        pod.must(job)
    expect_equal(events(cluster), [FIRST, "cron", "user:report"], "what was done")


@app("nextcloud")
def test_an_operators_maintenance_mode_stays(cluster):
    # A restart of a pod must not let people write into a snapshot.
    install(cluster)
    expect_equal(state(cluster)["maintenance"], False, "the maintenance mode after the installation")
    pod = cluster.pod("CronJob", "nc-occ")
    pod.steps()
    pod.must("occ", command=["php", "/var/www/html/occ", "maintenance:mode", "--on"])
    install(cluster)
    expect_equal(state(cluster)["maintenance"], True, "the maintenance mode after a restart")


@app("nextcloud")
def test_an_upgrade_waits_for_background_jobs(cluster):
    install(cluster)
    go_on = hold(cluster, "cron")
    pod = cluster.pod("CronJob", "nc-cron")
    pod.steps()
    job = pod.start("cron")
    has_come_to(cluster, "cron")
    # A restart of the same version does not wait.
    install(cluster)
    upgrade = start(cluster, image(35, 0, 1, 0))
    expect_waits(cluster, upgrade, "upgrade")
    go_on()
    for each in (job, upgrade):
        expect_equal(each.wait().code, 0, f"the exit code, of what said\n{each.text()}\nIt")
    expect_equal(events(cluster), [FIRST, "cron", "upgrade 35.0.1.0"], "what was done")


@app("nextcloud")
def test_background_jobs_keep_away_from_an_upgrade(cluster):
    install(cluster)
    pod = cluster.pod("CronJob", "nc-cron")
    pod.steps()
    # Code of one version on the volume, and an image of the next one.
    pod.must("cron", files=image(35, 0, 1, 0))
    go_on = hold(cluster, "upgrade")
    upgrade = start(cluster, image(35, 0, 1, 0))
    has_come_to(cluster, "upgrade")
    pod.must("cron", files=image(35, 0, 1, 0))
    expect_equal(events(cluster), [FIRST], "what was done while the upgrade was under way")
    go_on()
    expect_equal(upgrade.wait().code, 0, "the exit code of the upgrade")


@app("nextcloud")
def test_a_job_whose_lock_fails_does_not_succeed(cluster):
    install(cluster)
    pod = cluster.pod("CronJob", "nc-cron")
    pod.steps()
    ended = pod.run("cron", files={"/usr/bin/flock": "#!/bin/sh\necho 'flock: No locks available' >&2\nexit 71\n"})
    expect_equal(ended.code, 71, f"the exit code of a job that cannot lock, and said\n{ended.text}\nIt")


@app("nextcloud")
def test_logs_in_with_any_password_of_the_cache(cluster):
    # The image puts the password into a URL as it is.
    cluster.secrets["nc-credentials", "redis-password"] = "a+b/c=%41&d #e"
    pod = cluster.pod("Deployment", "nc-web")
    services(cluster)
    pod.steps()
    log_in = 'session_id("s1"); session_start(); $_SESSION["user"] = "ada"; session_write_close();'
    log_in += ' session_start(); echo $_SESSION["user"], " ", ini_get("redis.session.lock_expire");'
    scan = {"PHP_INI_SCAN_DIR": ":/usr/local/etc/php/conf.d"}
    seen = pod.must("web", command=["env", *(f"{k}={v}" for k, v in scan.items()), "php", "-r", log_in])
    expect_equal(seen.strip(), "ada 60", "what a session holds, and for how many seconds its lock")
