"""T7: the configuration that follows the app file, evaluated by PHP with the rendered variables."""

import json

from app import app
from failure import expect_equal

SHOW = ["php", "-r", 'require "/pso/zz-pso.config.php"; echo json_encode($CONFIG);']


def configuration(cluster, name, **how):
    """Returns what Nextcloud would read."""
    return json.loads(cluster.pod("Deployment", f"{name}-web").must("web", command=SHOW, **how))


@app("nextcloud")
def test_says_what_the_app_file_says(cluster):
    wanted = {
        "dbhost": "nc-db",
        "dbname": "app",
        "dbuser": "app",
        "dbpassword": cluster.secret("nc-credentials", "db-password"),
        "overwriteprotocol": "https",
        "overwrite.cli.url": "https://cloud.example.com",
        "trusted_domains": ["cloud.example.com", "nc-web"],
    }
    expect_equal(configuration(cluster, "nc"), wanted, "the configuration")


@app("nextcloud-full")
def test_lists_all_names_and_proxies(cluster):
    seen = configuration(cluster, "team")
    expect_equal(
        seen["trusted_domains"], ["team.example.com", "drive.example.com", "team-web"], "the list of names"
    )
    expect_equal(seen["trusted_proxies"], ["10.0.0.0/8", "192.168.7.0/24"], "the list of proxies")


@app("nextcloud")
def test_says_nothing_of_what_it_was_not_told(cluster):
    expect_equal(configuration(cluster, "nc", environment={}), [], "the configuration without variables")
