"""T7: Nextcloud's web server, from the first step to the readiness probe, with Debian's Apache and PHP."""

import http.client
import json
import socket

from app import app
from cluster import ADDRESS
from failure import expect_equal, until
from services import services

LIMIT = 17179869184  # 16Gi, the default of `maxUpload`.


def start(cluster, name="nc"):
    """Starts the rendered pod as a node does, and waits until its port is open."""
    services(cluster)
    pod = cluster.pod("Deployment", f"{name}-web")
    pod.steps()
    server = pod.start("web")
    port = port_of(cluster, name)
    until(lambda: server.pid and is_open(port), f"port {port}")
    return server


def container(cluster, name="nc"):
    """Returns the rendered container."""
    (found,) = cluster.rendered.pod("Deployment", f"{name}-web")["containers"]
    return found


def port_of(cluster, name="nc"):
    """Returns the number of the port on which it says that it listens."""
    (port,) = container(cluster, name)["ports"]
    return port["containerPort"]


def is_open(port):
    """Tries as a TCP probe does."""
    with socket.socket() as tried:
        return tried.connect_ex((ADDRESS, port)) == 0


def get(port, path, headers):
    """Returns the status and text of an answer."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def begin_upload(port, size):
    """Announces an upload, sends its first bytes, and returns the status of the answer."""
    head = "POST /upload.php HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection((ADDRESS, port), 10) as connection:
        connection.sendall(head.encode() + b"x" * 100)
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(100).split()[1])


@app("nextcloud")
def test_serves_without_rights_on_a_read_only_root(cluster):
    server = start(cluster)
    server.expect_unprivileged(33)
    server.expect_read_only_root()
    expect_equal(port_of(cluster), 8080, "the port")


@app("nextcloud")
def test_answers_the_probe_and_no_foreign_name(cluster):
    start(cluster)
    probe = container(cluster)["readinessProbe"]["httpGet"]
    headers = {each["name"]: each["value"] for each in probe["httpHeaders"]}
    status, text = get(port_of(cluster), probe["path"], headers)
    expect_equal(status, 200, f"the answer to the probe, {text!r}, which")
    about = json.loads(text)
    expect_equal(about["installed"], True, "installed")
    expect_equal(about["dbhost"], "nc-db", "the database's host, which was frozen at installation,")
    for host, wanted in [
        ("cloud.example.com", 200),
        ("nc-web", 200),
        ("nc-web:8080", 200),
        ("evil.example.com", 400),
        ("10.1.2.3", 400),
    ]:
        status, _ = get(port_of(cluster), probe["path"], {"Host": host})
        expect_equal(status, wanted, f"the answer to {host}")


@app("nextcloud")
def test_shows_nobody_what_is_stored(cluster):
    start(cluster)
    for path in ("/data/.pso-gen.lock", "/config/config.php", "/data/"):
        status, _ = get(port_of(cluster), path, {"Host": "localhost"})
        expect_equal(status, 403, f"the answer to {path}")


@app("nextcloud")
def test_takes_uploads_up_to_the_limit(cluster):
    start(cluster)
    _, text = get(port_of(cluster), "/status.php", {"Host": "localhost"})
    expect_equal(json.loads(text)["limits"], [LIMIT, LIMIT, 512 * 2**20], "the limits of PHP")
    expect_equal(begin_upload(port_of(cluster), LIMIT), 200, "the answer to the largest upload")
    expect_equal(begin_upload(port_of(cluster), LIMIT + 1), 413, "the answer to one byte more")
