"""What an app file adds to components: where it arrives, and where it does not."""

from app import app
from failure import expect, expect_equal
from services import services
from test_mariadb import ask

SHOW = 'echo "$LICENSE_KEY $FEATURES $PLAIN $(cat /etc/own/license.pem) $(cat /etc/own/ca/root.pem)"'
SCAN = "PHP_INI_SCAN_DIR=:/usr/local/etc/php/conf.d"


def prepare(cluster):
    """Puts there what others have in the namespace."""
    cluster.secrets["license", "key"] = "k'1"
    cluster.secrets["license", "pem"] = "pem"
    cluster.config_maps["features"] = {"list": "a,b"}
    cluster.config_maps["own-ca"] = {"root.pem": "root"}


@app("nextcloud-additions")
def test_arrive_in_the_component_its_steps_and_its_jobs(cluster):
    prepare(cluster)
    services(cluster)
    pod = cluster.pod("Deployment", "nc-web")
    pod.steps()
    for container in ("install", "settings", "web"):
        seen = pod.must(container, command=["sh", "-c", SHOW]).strip()
        expect_equal(seen, "k'1 a,b yes pem root", f"what {container} sees")
    job = cluster.pod("CronJob", "nc-cron")
    job.steps()
    # The job's own value wins.
    expect_equal(job.must("cron", command=["sh", "-c", SHOW]).strip(), "k'1 a,b no pem root", "what cron sees")
    # Inside a folder that starts with the image's content.
    seen = pod.must("web", command=["env", SCAN, "php", "-r", "echo ini_get('precision');"])
    expect_equal(seen.strip(), "7", "the setting of PHP")


@app("nextcloud-additions")
def test_arguments_follow_those_of_the_app(cluster):
    prepare(cluster)
    services(cluster)
    seen = ask(cluster.services["db"], "SELECT @@slow_query_log, @@tx_isolation")
    expect_equal(seen.split(), ["1", "READ-COMMITTED"], "the set of variables")


@app("nextcloud-additions")
def test_a_sidecar_reads_a_volume_and_cannot_write_to_it(cluster):
    prepare(cluster)
    services(cluster)
    pod = cluster.pod("Deployment", "nc-web")
    pod.steps()
    mark = cluster.claim("nc-data") / ".ncdata"
    mark.write_text("mark\n")
    mark.chmod(0o644)
    cluster.claim("nc-data").chmod(0o777)
    ended = pod.run("reader")
    expect_equal(ended.code, 0, f"the exit code of the sidecar, which said\n{ended.text}\nIt")
    lines = ended.text.split("\n")
    expect(lines[0] == "65534" and "mark" in lines and "read-only" in lines, f"the sidecar says {ended.text!r}")
