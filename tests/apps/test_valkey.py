"""T3: the scripts that start and ask Valkey, with Debian's Redis under Valkey's names."""

import signal
import time

from app import app
from container import arguments_of_all
from failure import expect, expect_equal, until
from services import start_service


def start(cluster):
    """Starts the rendered server as a node does, and waits until its probe says that it is ready."""
    return start_service(cluster, "redis")


def is_ready(cluster, server):
    """Asks the rendered probe."""
    (container,) = cluster.rendered.pod("StatefulSet", "nc-redis")["containers"]
    return server.execute(container["readinessProbe"]["exec"]["command"]).code == 0


def ask(server, *words):
    """Returns what the server answers to somebody who knows the password."""
    client = 'REDISCLI_AUTH=$(cat "$0") exec valkey-cli -h nc-redis "$@"'
    return server.execute(["sh", "-c", client, "/run/secrets/pso/redis-password", *words]).text.strip()


@app("nextcloud")
def test_answers_only_who_knows_the_password(cluster):
    server = start(cluster)
    expect_equal(ask(server, "ping"), "PONG", "the answer with the password")
    stranger = server.execute(["valkey-cli", "-h", "nc-redis", "ping"]).text
    expect("NOAUTH" in stranger, f"without the password, the answer is {stranger!r}")


@app("nextcloud")
def test_is_ready_only_when_it_answers(cluster):
    server = start(cluster)
    server.signal(signal.SIGSTOP)
    (container,) = cluster.rendered.pod("StatefulSet", "nc-redis")["containers"]
    probe = container["readinessProbe"]
    patience = ["timeout", str(probe["timeoutSeconds"]), *probe["exec"]["command"]]
    expect(server.execute(patience).code != 0, "ready, though the server is stopped")
    server.signal(signal.SIGCONT)
    expect(is_ready(cluster, server), "not ready, though the server goes on")
    ask(server, "config", "set", "requirepass", "another")
    expect(not is_ready(cluster, server), "ready, though the password is another")


@app("nextcloud")
def test_keeps_what_it_was_given_when_its_node_is_lost(cluster):
    server = start(cluster)
    expect_equal(ask(server, "set", "lock", "held"), "OK", "the answer to a write")
    time.sleep(1.2)  # It writes to the disk every second.
    server.kill()
    expect_equal(ask(start(cluster), "get", "lock"), "held", "what is there after a kill -9")


@app("nextcloud")
def test_refuses_writes_rather_than_forgets(cluster):
    server = start(cluster)
    settings = dict(zip(*[iter(ask(server, "config", "get", "maxmemory*").split("\n"))] * 2))
    expect_equal(settings["maxmemory"], str(256 * 2**20), "the memory limit")
    ask(server, "set", "lock", "held")
    ask(server, "config", "set", "maxmemory", "1mb")
    answers = {ask(server, "set", f"session{n}", "x" * 100_000)[:3] for n in range(20)}
    expect("OOM" in answers, f"it never says that it is full, only {answers}")
    expect_equal(ask(server, "get", "lock"), "held", "what was there before the memory was full")


@app("nextcloud")
def test_shows_its_password_to_nobody(cluster):
    password = cluster.secret("nc-credentials", "redis-password")
    pod = cluster.pod("StatefulSet", "nc-redis")
    pod.steps()
    server = pod.start("redis", traced=True)
    until(lambda: "Ready to accept connections" in server.text(), "started Valkey")
    probe = pod.start("redis", command=["/pso/valkey-ready.sh"], traced=True)
    expect_equal(probe.wait().code, 0, "the exit code of the probe")
    seen = [each for each in server.arguments() + probe.arguments() if password in each]
    seen += [each for each in arguments_of_all() if password in each]
    expect(not seen, f"the password is among the arguments of {seen}")
    expect(password not in server.text(), "the password is in the log")
    for folder in (cluster.claim("nc-redis"), pod.mounted("redis", "/tmp")):
        for path in folder.rglob("*"):
            if path.is_file():
                expect(password.encode() not in path.read_bytes(), f"the password is in {path.name}")


@app("nextcloud")
def test_runs_without_rights_and_ends_when_asked(cluster):
    server = start(cluster)
    server.expect_unprivileged(999)
    server.expect_read_only_root()
    ask(server, "set", "lock", "held")
    ended, seconds = server.stop()
    expect_equal(ended.code, 0, "the exit code after SIGTERM")
    expect(seconds < 5, f"it took {seconds:.0f} s to end")
    expect_equal(ask(start(cluster), "get", "lock"), "held", "what is there after a restart")


@app("nextcloud")
def test_takes_a_password_with_quotes(cluster):
    cluster.secrets["nc-credentials", "redis-password"] = """it's "a\\b" # c"""
    expect_equal(ask(start(cluster), "ping"), "PONG", "the answer with the password")


def damaged(cluster, change):
    """Fills Valkey, kills it, and lets a test change its files as a power cut does."""
    server = start(cluster)
    expect_equal(ask(server, "set", "session", "kept"), "OK", "the answer to a write")
    time.sleep(1.2)  # It writes to the disk every second.
    server.kill()
    change(cluster.claim("nc-redis") / "appendonlydir")


@app("nextcloud")
def test_starts_with_zeros_at_the_end_of_its_file(cluster):
    def zeros(folder):
        (path,) = folder.glob("*.incr.aof")
        path.write_bytes(path.read_bytes() + bytes(4096))

    damaged(cluster, zeros)
    expect_equal(ask(start(cluster), "get", "session"), "kept", "what was written before the damage")


@app("nextcloud")
def test_starts_empty_when_its_file_cannot_be_read(cluster):
    def garbage(folder):
        for path in folder.glob("*.rdb"):
            path.write_bytes(bytes(64))

    damaged(cluster, garbage)
    server = start(cluster)
    expect_equal(ask(server, "get", "session"), "", "what a damaged file holds")
    expect((cluster.claim("nc-redis") / "appendonlydir.damaged").is_dir(), "the damaged files are gone")
    expect_equal(ask(server, "set", "session", "new"), "OK", "the answer to a write")
