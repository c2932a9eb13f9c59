"""T1: MariaDB with the arguments, variables, files and volumes of the rendered pod."""

from app import app
from container import arguments_of_all
from failure import expect, expect_equal, until
from services import start_service
from test_nextcloud import has_come_to, hold


def start_database(cluster):
    """Starts the rendered database as a node does, and waits until it says that it is ready."""
    return start_service(cluster, "db")


def ask(server, statement, database="app"):
    """Returns what a statement returns to the app's user, over the network."""
    return _ask(server, statement, "db-password", "--host=nc-db", "--user=app", database)


def ask_root(server, statement):
    """Returns what a statement returns to root, in the database's own pod."""
    return _ask(server, statement, "db-root-password", "--socket=/run/mysqld/mysqld.sock", "--user=root")


def _ask(server, statement, key, *who):
    client = 'MYSQL_PWD=$(cat "$0") exec mariadb --default-character-set=utf8mb4 -N "$@"'
    command = ["sh", "-c", client, f"/run/secrets/pso/{key}", *who]
    ended = server.execute(command, input=statement)
    expect_equal(ended.code, 0, f"the exit code of a statement, which said {ended.text}, and")
    return ended.text.strip()


@app("nextcloud")
def test_takes_the_rendered_settings(cluster):
    pod = cluster.pod("StatefulSet", "nc-db")
    pod.steps()
    # As on a volume with ext4.
    (cluster.claim("nc-db") / "db" / "lost+found").mkdir(mode=0o700)
    server = start_database(cluster)
    wanted = {
        "tx_isolation": "READ-COMMITTED",
        "character_set_server": "utf8mb4",
        "collation_server": "utf8mb4_general_ci",
        "innodb_file_per_table": "ON",
        "skip_name_resolve": "ON",
        "datadir": "/var/lib/mysql/",
    }
    names = "', '".join(wanted)
    lines = ask(server, f"SHOW GLOBAL VARIABLES WHERE variable_name IN ('{names}')").splitlines()
    expect_equal(dict(line.split("\t") for line in lines), wanted, "the set of variables")
    databases = ask_root(server, "SHOW DATABASES").splitlines()
    expect("app" in databases, f"there is no database called app, only {databases}")
    expect(not any("lost" in each for each in databases), f"lost+found is a database: {databases}")


@app("nextcloud")
def test_runs_without_rights_and_ends_when_asked(cluster):
    server = start_database(cluster)
    server.expect_unprivileged(999)
    server.expect_read_only_root()
    for (_, key), value in cluster.secrets.items():
        seen = [each for each in arguments_of_all() if value in each]
        expect(not seen, f"{key} is among the arguments of {seen}")
    ask(server, "CREATE TABLE t (n INT); INSERT INTO t VALUES (7)")
    ended, seconds = server.stop()
    expect_equal(ended.code, 0, "the exit code after SIGTERM")
    expect("Shutdown complete" in ended.text, f"no clean shutdown:\n{ended.text}")
    expect(seconds < 20, f"it took {seconds:.0f} s to end")
    again = start_database(cluster)
    expect_equal(ask(again, "SELECT n FROM t"), "7", "what was written before the restart")
    expect("crash recovery" not in again.text(), f"a recovery after SIGTERM:\n{again.text()}")


@app("nextcloud")
def test_lets_root_in_from_its_own_pod_only(cluster):
    server = start_database(cluster)
    expect_equal(ask_root(server, "SELECT 'in'"), "in", "what root gets in the pod")
    ((_, password),) = [each for each in cluster.secrets.items() if each[0][1] == "db-root-password"]
    server.variables["MYSQL_PWD"] = password
    there = server.execute(["mariadb", "--user=root", "--host=nc-db", "--execute=SELECT 'in'"])
    expect("Access denied" in there.text, f"root over the network was told {there.text!r}")


@app("nextcloud")
def test_a_first_start_that_was_cut_short_is_done_again(cluster):
    # The folder `mysql` is there, the app's database and user are not: the image would never make them.
    go_on = hold(cluster, "first-start")
    pod = cluster.pod("StatefulSet", "nc-db")
    pod.steps()
    first = pod.start("db")
    has_come_to(cluster, "first-start")
    first.kill()
    go_on()
    expect((cluster.claim("nc-db") / "db" / "mysql").is_dir(), "the first start was killed too early")
    server = start_database(cluster)
    ask(server, "CREATE TABLE t (n INT) ENGINE=InnoDB; INSERT INTO t VALUES (7)")
    server.stop()
    # A note that stays for another reason never removes tables.
    (cluster.claim("nc-db") / "db" / ".pso-gen.first-start").touch()
    server = start_database(cluster)
    expect_equal(ask(server, "SELECT n FROM t"), "7", "what was there beside a wrong note")
    # Nor does one beside which an operator has put the database of another app.
    server.stop()
    folder = cluster.claim("nc-db") / "db"
    (folder / "app").rename(folder / "old")
    (folder / ".pso-gen.first-start").touch()
    pod = cluster.pod("StatefulSet", "nc-db")
    pod.steps()
    pod.start("db").pid
    until(lambda: not (folder / ".pso-gen.first-start").exists(), "look at the note")
    expect((folder / "old" / "t.ibd").exists(), "the table of another app is gone")
