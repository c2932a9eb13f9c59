"""OwnCloud with all its volumes on the file class."""

import json

from failure import expect_equal


def test_owncloud_is_ready(lab):
    volumes = {name: {"class": "pure-file", "size": "1Gi"} for name in ("db", "redis", "files", "backup")}
    small = {name: {"requests": {"cpu": "50m", "memory": "64Mi"}} for name in ("web", "db", "redis")}
    app = lab.app("OwnCloud", "oc", "files", host="files.example.com", replicas=2, volumes=volumes, expose={"class": "nginx"},
                  resources=small, proxies=["10.244.0.0/16"])
    expect_equal(len(app.pods("web")), 2, "the number of web pods")
    code, text = app.ask("/status.php", "files.example.com")
    expect_equal((code, json.loads(text)["installed"]), (200, True), "the answer of the app")
    expect_equal(len([line for line in lab.noted() if line.startswith("install 10.")]), 1, "how often it was installed")
