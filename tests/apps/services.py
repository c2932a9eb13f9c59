"""The database and the cache that an app's web server and jobs need, as rendered, with Debian's programs."""

from failure import until


def start_service(cluster, part):
    """Starts a StatefulSet of the app as a node does, and waits until its probe succeeds."""
    pod = cluster.pod("StatefulSet", f"{cluster.name}-{part}")
    pod.steps()
    server = pod.start(part)
    (container,) = pod.spec["containers"]
    probe = container["startupProbe"]["exec"]["command"]
    until(lambda: server.pid and server.execute(probe).code == 0, f"answer to the startup probe of {part}", 40)
    return server


def services(cluster):
    """Starts what runs beside the web server, unless it runs already."""
    for part in ("db", "redis"):
        if part not in cluster.services:
            cluster.services[part] = start_service(cluster, part)


def sql(cluster, statement):
    """Returns what a statement returns to the app's user."""
    server = cluster.services["db"]
    client = 'MYSQL_PWD=$(cat "$0") exec mariadb -N --host="$1" --user=app app'
    command = ["sh", "-c", client, "/run/secrets/pso/db-password", f"{cluster.name}-db"]
    ended = server.execute(command, input=statement)
    assert ended.code == 0, ended.text
    return ended.text.split()
