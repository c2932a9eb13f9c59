"""Settings of config.php: what PHP makes of them, what goes when it is taken away, and what a crash leaves."""

import json
import subprocess

from app import app
from failure import expect, expect_equal

OURS = "zz-pso-settings.config.php"
WANTED = {
    "has_internet_connection": False,
    "auth.bruteforce.protection.enabled": True,
    "default_phone_region": "DE",
    "loglevel": 2,
    "preview_max_scale_factor": 1.5,
    "trashbin_retention_obligation": "30, auto",
    "enabledPreviewProviders": ["OC\\Preview\\PNG", "it's <text> & more"],
    "openmetrics": {"allowed": {"clients": ["10.0.0.1"]}, "none": []},
    "mail_smtppassword": "hunter2",
}
# As the apps write it: with all that they have seen, of our file and of the image's.
FROZEN = {
    "installed": True,
    "passwordsalt": "a'b",
    "loglevel": 0,
    "gone": "away",
    "mail_smtphost": "old-smtp.example.com",
    "maintenance": False,
}


class Settings:
    """The step of an app that writes its settings, and the folder of its configuration."""

    def __init__(self, cluster, name, claim, folder):
        cluster.secrets["chosen", "config.json"] = json.dumps({"mail_smtppassword": "hunter2"})
        cluster.secret = lambda name, key: cluster.secrets.setdefault((name, key), "x")
        self.cluster, self.name = cluster, name
        self.config = cluster.claim(claim) / folder
        # A claim that is new: what follows in it is the app's own.
        self.volumes()
        for path in (cluster.claim(claim), self.config):
            path.mkdir(exist_ok=True)
            subprocess.run(["chown", "33:33", path], check=True)

    def write(self, name, text):
        """Puts a file beside config.php."""
        (self.config / name).write_text(text)
        subprocess.run(["chown", "33:33", self.config / name], check=True)

    def install(self, config, keys=None):
        """Leaves what an installed app leaves, and the record of an earlier start."""
        php = subprocess.run(
            ["php", "-r", 'echo "<?php\n\\$CONFIG = " . var_export(json_decode($argv[1], true), true) . ";\n";', json.dumps(config)],
            capture_output=True,
            text=True,
            check=True,
        )
        self.write("config.php", php.stdout)
        if keys is not None:
            self.write("pso-gen.keys.json", json.dumps(keys))

    def run(self, step="settings", **how):
        """Runs the step, after those that make its folders."""
        return self.volumes().run(step, **how)

    def volumes(self):
        """Returns a pod of which the steps have run that look at its volumes."""
        pod = self.cluster.pod("Deployment", f"{self.name}-web")
        for volumes in [each for each in pod.spec["initContainers"] if each["name"].startswith("pso-volumes")]:
            pod.must(volumes["name"])
        return pod

    def must(self, **how):
        """Runs the step, which must succeed."""
        ended = self.run(**how)
        expect_equal(ended.code, 0, f"the exit code of the settings, which said\n{ended.text}\nIt")
        return ended.text

    def read(self, name):
        """Returns what PHP reads from a file."""
        show = ["php", "-r", "require $argv[1]; echo json_encode($CONFIG);", self.config / name]
        return json.loads(subprocess.run(show, capture_output=True, text=True, check=True).stdout)


def nextcloud(cluster):
    """Returns NextCloud's settings."""
    return Settings(cluster, "nc", "nc-html", "config")


def owncloud(cluster):
    """Returns OwnCloud's settings."""
    return Settings(cluster, "oc", "oc-files", "config")


def keeps_types(settings):
    """Settings of all types, with dots in their names, and those of a Secret."""
    settings.install({"installed": True})
    settings.must()
    expect_equal(settings.read(OURS), WANTED, "the settings")
    expect_equal(oct((settings.config / OURS).stat().st_mode & 0o777), "0o640", "the mode of a file with passwords")


def forgets(settings):
    """What an earlier app file has set is gone, and what an administrator has set stays."""
    settings.install(FROZEN, ["gone", "loglevel"])
    settings.must()
    left = {key: value for key, value in FROZEN.items() if key != "gone"}
    expect_equal(settings.read("config.php"), left, "config.php without what was taken away")
    keys = json.loads((settings.config / "pso-gen.keys.json").read_text())
    expect("gone" not in keys and "mail_smtppassword" in keys, f"the record is {keys}")
    before = (settings.config / "config.php").stat().st_ino
    settings.must()
    expect_equal((settings.config / "config.php").stat().st_ino, before, "the file that a second run leaves")


def waits(settings):
    """Before an installation nothing is written: the images copy their own files into an empty folder only."""
    settings.must()
    expect_equal(list(settings.config.iterdir()), [], "what is in the folder before the installation")


@app("nextcloud-settings")
def test_nextcloud_keeps_types(cluster):
    keeps_types(nextcloud(cluster))


@app("owncloud-settings")
def test_owncloud_keeps_types(cluster):
    keeps_types(owncloud(cluster))


@app("nextcloud-settings")
def test_nextcloud_forgets_what_was_taken_away(cluster):
    forgets(nextcloud(cluster))


@app("owncloud-settings")
def test_owncloud_forgets_what_was_taken_away(cluster):
    forgets(owncloud(cluster))


@app("nextcloud")
def test_mail_and_proxies_of_an_earlier_file_are_gone(cluster):
    settings = nextcloud(cluster)
    settings.install({**FROZEN, "trusted_proxies": ["10.0.0.0/8"]}, ["mail_smtphost", "trusted_proxies", "redis"])
    settings.must()
    left = settings.read("config.php")
    expect("mail_smtphost" not in left and "trusted_proxies" not in left, f"config.php still has {left}")
    expect_equal(settings.read(OURS), [], "the settings of an app file without any")


@app("nextcloud-settings")
def test_what_belongs_to_the_installation_stays(cluster):
    settings = nextcloud(cluster)
    settings.install(FROZEN, ["gone", "installed", "passwordsalt"])
    settings.must()
    left = settings.read("config.php")
    expect("gone" not in left, f"config.php still has {left}")
    expect_equal([left.get("installed"), left.get("passwordsalt")], [True, "a'b"], "what belongs to the installation")


@app("nextcloud-settings")
def test_nextcloud_waits_for_its_installation(cluster):
    waits(nextcloud(cluster))


@app("owncloud-settings")
def test_owncloud_waits_for_its_installation(cluster):
    waits(owncloud(cluster))


@app("nextcloud-settings")
def test_a_run_that_is_cut_short_is_made_good(cluster):
    settings = nextcloud(cluster)
    settings.install(FROZEN, ["gone"])
    # Its new settings are recorded, and neither written nor is anything removed.
    settings.write("pso-gen.keys.json", json.dumps(["gone", "loglevel", "half"]))
    settings.write(f"{OURS}.new", "<?php $CONF")
    settings.must()
    expect_equal(settings.read(OURS), WANTED, "the settings")
    expect("gone" not in settings.read("config.php"), "what was taken away is still in config.php")


@app("nextcloud-settings")
def test_a_secret_that_is_no_json_is_refused(cluster):
    settings = nextcloud(cluster)
    cluster.secrets["chosen", "config.json"] = "hunter2"
    settings.install(FROZEN, [])
    ended = settings.run()
    expect_equal(ended.code, 1, f"the exit code, with {ended.text!r}, which")
    expect("is not a mapping in JSON" in ended.text and "hunter2" not in ended.text, f"it says {ended.text!r}")
