"""Requests through a real proxy: whose address the app and its log see, and where redirects lead."""

import http.client
import json
import subprocess

from app import app
from cluster import ADDRESS
from failure import expect, expect_equal, until
from services import services
from test_apache import is_open

CLIENT = "203.0.113.9"
PROXY = "10.42.0.5"
POD = "10.43.0.7"
FORGED = "198.51.100.66"
PORT = 8080
# As the app's own .htaccess has them.
HTACCESS = """RewriteEngine on
RewriteRule ^\\.well-known/caldav /remote.php/dav/ [R=301,L]
RewriteRule ^\\.well-known/carddav /remote.php/dav/ [R=301,L]
"""
NGINX = f"""daemon off;
master_process off;
pid /tmp/nginx.pid;
error_log /dev/stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server {{
    listen 80;
    location / {{
      proxy_pass http://{ADDRESS}:{PORT};
      proxy_bind {PROXY};
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Real-IP $remote_addr;
    }}
  }}
}}
"""
HAPROXY = f"""defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend way_in
  bind *:80
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  default_backend app
backend app
  server one {ADDRESS}:{PORT} source {PROXY}
"""


def begin(cluster, name, root):
    """Starts the app's web server, and gives it the rewrite rules and a folder of the app."""
    for address in (CLIENT, PROXY, POD):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    services(cluster)
    pod = cluster.pod("Deployment", f"{name}-web")
    pod.steps()
    files = {}
    if root is None:
        files = {"/var/www/owncloud/.htaccess": HTACCESS, "/var/www/owncloud/core/index.html": "core\n"}
    else:
        (root / ".htaccess").write_text(HTACCESS)
        (root / "core").mkdir()
        (root / "core" / "index.html").write_text("core\n")
    server = pod.start("web", files=files)
    until(lambda: server.pid and is_open(PORT), f"port {PORT}")
    return server


def nextcloud(cluster):
    """Starts NextCloud."""
    return begin(cluster, "nc", cluster.claim("nc-html"))


def owncloud(cluster):
    """Starts OwnCloud."""
    return begin(cluster, "oc", None)


def proxy(cluster, command, text):
    """Starts a proxy in front of the app."""
    path = cluster.folder() / "proxy.conf"
    path.write_text(text)
    subprocess.Popen([*command, str(path)])
    until(lambda: is_open(80), "the proxy")


def get(path, source, port=80, **headers):
    """Returns status, headers and text of an answer to a client with this address."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10, source_address=(source, 0))
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers={"Host": "cloud.example.com", **headers})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def seen(source, **how):
    """Returns the address that the app sees of a client."""
    status, _, text = get("/status.php", source, **how)
    expect_equal(status, 200, f"the answer, {text!r}, whose status")
    return json.loads(text)["address"]


def serves_clients(server):
    """The app sees the client, whatever the client says of itself."""
    expect_equal(seen(CLIENT), CLIENT, "the client's address")
    for forged in (FORGED, f"{FORGED}, 10.42.0.9", f"{FORGED}, garbage"):
        expect_equal(seen(CLIENT, X_Forwarded_For=forged), CLIENT, f"the address, forged as {forged},")
    expect_equal(seen(CLIENT, X_Real_IP=FORGED, Forwarded=f"for={FORGED}"), CLIENT, "the forged address")
    # Past the proxy, from another pod.
    past = seen(POD, port=PORT, X_Forwarded_For=FORGED, X_Real_IP=FORGED)
    expect_equal(past, POD, "the address of a pod that pretends to be a proxy")
    until(lambda: f"{CLIENT} - - [" in server.text(), "a line of the log with the client's address")
    expect(f"{FORGED} - -" not in server.text(), f"the log shows a forged address:\n{server.text()}")
    expect(f"{PROXY} - -" not in server.text(), f"the log shows the proxy:\n{server.text()}")


def leads_back():
    """Redirects of the web server lead to where the client comes from."""
    for host in ("cloud.example.com", "drive.example.com"):
        for path, wanted in [
            ("/.well-known/caldav", "/remote.php/dav/"),
            ("/.well-known/carddav", "/remote.php/dav/"),
            ("/core", "/core/"),
        ]:
            status, headers, _ = get(path, CLIENT, Host=host)
            expect_equal(status, 301, f"the answer to {path}")
            expect_equal(headers["Location"], f"https://{host}{wanted}", f"where {path} leads")


@app("nextcloud-proxied")
def test_nextcloud_behind_nginx(cluster):
    server = nextcloud(cluster)
    proxy(cluster, ["nginx", "-c"], NGINX)
    serves_clients(server)
    leads_back()


@app("nextcloud-proxied")
def test_nextcloud_behind_haproxy(cluster):
    server = nextcloud(cluster)
    proxy(cluster, ["haproxy", "-q", "-f"], HAPROXY)
    serves_clients(server)
    leads_back()


@app("owncloud-proxied")
def test_owncloud_behind_nginx(cluster):
    server = owncloud(cluster)
    proxy(cluster, ["nginx", "-c"], NGINX)
    serves_clients(server)
    leads_back()


@app("owncloud-proxied")
def test_owncloud_behind_haproxy(cluster):
    server = owncloud(cluster)
    proxy(cluster, ["haproxy", "-q", "-f"], HAPROXY)
    serves_clients(server)
    leads_back()


@app("nextcloud")
def test_without_proxies_no_header_is_believed(cluster):
    nextcloud(cluster)
    proxy(cluster, ["haproxy", "-q", "-f"], HAPROXY)
    expect_equal(seen(CLIENT, X_Real_IP=FORGED, X_Forwarded_For=FORGED), PROXY, "the address")
    leads_back_by_default()


def leads_back_by_default():
    """Without any setting redirects keep scheme and host."""
    _, headers, _ = get("/.well-known/caldav", CLIENT)
    expect_equal(headers["Location"], "https://cloud.example.com/remote.php/dav/", "where it leads")
