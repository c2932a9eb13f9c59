"""A database and a cache that are not the app's: others run them, at other ports, with other names and passwords."""

import subprocess

from app import app
from cluster import ADDRESS
from failure import expect, expect_equal, until
from test_nextcloud import FIRST, events
from test_nextcloud import start_alone as start_nextcloud
from test_owncloud import FIRST as FIRST_OF_OWNCLOUD
from test_owncloud import prepared_alone as prepared_owncloud

PASSWORD = "x'y+z/="
LOG_IN = 'session_id("s1"); session_start(); $_SESSION["user"] = "ada"; session_write_close();'
LOG_IN += ' session_start(); echo $_SESSION["user"];'


class Servers:
    """A MariaDB and a Redis that no manifest of the app knows."""

    def __init__(self, cluster):
        self.data, self.socket = cluster.folder(), cluster.folder() / "mysqld.sock"
        # Tests that run at the same time share /tmp, and servers call their temporary tables by their process ID.
        self.own = [f"--tmpdir={self.socket.parent}", f"--datadir={self.data}"]
        subprocess.run(["chown", "mysql", self.data, self.socket.parent], check=True)
        make = ["mariadb-install-db", "--no-defaults", "--user=mysql", "--auth-root-authentication-method=normal"]
        made = subprocess.run([*make, "--skip-test-db", *self.own], capture_output=True, text=True, check=False)
        expect_equal(made.returncode, 0, f"the exit code of mariadb-install-db, which said\n{made.stdout}{made.stderr}\nIt")
        self.database = None
        self.start()
        quoted = PASSWORD.replace("'", "''")
        self.ask(f"CREATE DATABASE suite; CREATE USER suite IDENTIFIED BY '{quoted}'; GRANT ALL ON suite.* TO suite")
        cache = ["redis-server", "--port", "6380", "--bind", ADDRESS, "--requirepass", PASSWORD, "--save", ""]
        self.cache = subprocess.Popen(cache, stdout=subprocess.DEVNULL, cwd=self.data)
        name = "nc" if cluster.name == "nc" else "oc"
        cluster.secrets[f"{name}-database", "password"] = PASSWORD
        cluster.secrets[f"{name}-cache", "password"] = PASSWORD

    def start(self):
        """Starts the database, and waits for its answer."""
        command = ["mariadbd", "--no-defaults", "--user=mysql", *self.own, f"--socket={self.socket}"]
        command += ["--port=3307", f"--bind-address={ADDRESS}", f"--pid-file={self.data}/pid"]
        self.database = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self._client("SELECT 1").returncode == 0, "answer of the database", 40)

    def stop(self):
        """Ends the database."""
        self.database.terminate()
        self.database.wait(30)

    def ask(self, statement):
        """Returns what a statement returns to root."""
        done = self._client(statement)
        expect_equal(done.returncode, 0, f"the exit code of a statement, which said {done.stderr}, and")
        return done.stdout.split()

    def _client(self, statement):
        command = ["mariadb", "--no-defaults", "-N", f"--socket={self.socket}", "--user=root", "-e", statement]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def expect_nothing_of_its_own(cluster):
    """Fails if the app has a server, a claim or a job of its own for what others run."""
    kinds = ("StatefulSet", "CronJob", "PersistentVolumeClaim", "Service", "NetworkPolicy")
    names = {each["metadata"]["name"] for kind in kinds for each in cluster.rendered.of_kind(kind)}
    own = {f"{cluster.name}-{part}" for part in ("db", "redis", "backup", "restore")}
    expect(not names & own, f"the app has {names & own}")


@app("nextcloud-external")
def test_nextcloud_installs_and_runs_its_jobs(cluster):
    expect_nothing_of_its_own(cluster)
    servers = Servers(cluster)
    ended = start_nextcloud(cluster).wait()
    expect_equal(ended.code, 0, f"the exit code of the installation, which said\n{ended.text}\nIt")
    expect_equal(events(cluster), [FIRST], "what was done to the database")
    expect("oc_users" in servers.ask("SHOW TABLES IN suite"), "the tables are in another database")
    for name in ("cron", "occ"):
        job = cluster.pod("CronJob", f"nc-{name}")
        job.steps()
        job.must(name)
    pod = cluster.pod("Deployment", "nc-web")
    pod.steps()
    scan = "PHP_INI_SCAN_DIR=:/usr/local/etc/php/conf.d"
    expect_equal(pod.must("web", command=["env", scan, "php", "-r", LOG_IN]).strip(), "ada", "what a session holds")


@app("nextcloud-external")
def test_nextcloud_waits_for_a_database_that_is_away(cluster):
    servers = Servers(cluster)
    servers.stop()
    pod = start_nextcloud(cluster)
    until(lambda: "waiting for the database sql.databases.svc:3307" in pod.text(), "message that it waits")
    servers.start()
    ended = pod.wait()
    expect_equal(ended.code, 0, f"the exit code of the installation, which said\n{ended.text}\nIt")
    expect_equal(events(cluster), [FIRST], "what was done to the database")


@app("nextcloud-external")
def test_nextcloud_refuses_a_database_with_tables_of_others(cluster):
    servers = Servers(cluster)
    servers.ask("CREATE TABLE suite.oc_users (uid VARCHAR(64))")
    ended = start_nextcloud(cluster).wait()
    expect(ended.code != 0 and "has 1 tables already" in ended.text, f"it does not refuse:\n{ended.text}")
    expect_equal(servers.ask("SHOW TABLES IN suite"), ["oc_users"], "the tables afterwards")


@app("nextcloud-external")
def test_nextcloud_does_not_start_without_the_data_of_its_own_database(cluster):
    # From the app's own database to one outside, before a dump was restored there.
    servers = Servers(cluster)
    expect_equal(start_nextcloud(cluster).wait().code, 0, "the exit code of the installation")
    servers.ask("DROP DATABASE suite; CREATE DATABASE suite")
    ended = start_nextcloud(cluster).wait()
    expect(ended.code != 0 and "is empty" in ended.text, f"it does not refuse:\n{ended.text}")
    expect("restore a dump of the old database on the server" in ended.text, f"it names no fix:\n{ended.text}")
    expect("job restore" not in ended.text, f"it names a job that the app does not have:\n{ended.text}")


@app("nextcloud-external")
def test_nextcloud_says_at_once_what_the_operator_of_the_server_has_to_do(cluster):
    servers = Servers(cluster)
    servers.ask("DROP DATABASE suite")
    ended = start_nextcloud(cluster).wait(30)
    expect(ended.code != 0 and "has no database suite" in ended.text, f"it does not name the database:\n{ended.text}")
    cluster.secrets["nc-database", "password"] = "another"
    ended = start_nextcloud(cluster).wait(30)
    expect(ended.code != 0 and "`secrets.database`" in ended.text, f"it does not name the Secret:\n{ended.text}")


@app("owncloud-external")
def test_owncloud_refuses_a_database_with_tables_of_others(cluster):
    servers = Servers(cluster)
    servers.ask("CREATE TABLE suite.oc_users (uid VARCHAR(64))")
    ended = prepared_owncloud(cluster).start("install").wait()
    expect(ended.code != 0 and "has 1 tables already" in ended.text, f"it does not refuse:\n{ended.text}")
    expect("an empty database on the server" in ended.text, f"it names no fix:\n{ended.text}")
    expect_equal(servers.ask("SHOW TABLES IN suite"), ["oc_users"], "the tables afterwards")


@app("owncloud-external")
def test_owncloud_installs_and_runs_its_jobs(cluster):
    expect_nothing_of_its_own(cluster)
    servers = Servers(cluster)
    pod = cluster.pod("Deployment", "oc-web")
    pod.steps()
    expect_equal(events(cluster), [FIRST_OF_OWNCLOUD], "what was done to the database")
    expect("oc_users" in servers.ask("SHOW TABLES IN suite"), "the tables are in another database")
    job = cluster.pod("CronJob", "oc-cron")
    job.steps()
    job.must("cron")
    server = "#!/bin/sh\nexport PHP_INI_SCAN_DIR=\"$PHP_INI_SCAN_DIR:/etc/php-owncloud\"\n"
    ended = pod.run("web", files={"/usr/bin/server": f"{server}exec php -r '{LOG_IN}'\n"})
    expect(ended.text.endswith("ada"), f"what a session holds:\n{ended.text}")
