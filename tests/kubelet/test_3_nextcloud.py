"""The life of one NextCloud with two pods and all its volumes on the file class, in the order in which it is told."""

import json
import threading
import time

from cluster import waited
from failure import Failure, expect, expect_equal

HOST = "cloud.example.com"
FILES = {name: {"class": "pure-file", "size": "1Gi"} for name in ("db", "redis", "html", "data", "backup")}
# Three pods and the provisioner's fit on two cores.
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}}
INSTALLED = "install 33.0.8.2"


def cloud(lab):
    return lab.app("NextCloud", "nc", "cloud", host=HOST, replicas=2, version="33", volumes=FILES,
                   resources={name: SMALL for name in ("web", "db", "redis")}, proxies=["10.244.0.0/16"], expose={"class": "nginx"})


def installed_once(lab):
    expect_equal(lab.noted().count(INSTALLED), 1, "how often it was installed")


def is_up(app):
    code, text = app.ask("/status.php", HOST)
    return code == 200 and json.loads(text)["installed"]


def put(app, name):
    """Leaves a user's file, and a row in the database."""
    app.shell("web", f"mkdir -p /var/www/html/data/{name} && echo of {name} > /var/www/html/data/{name}/file")
    app.sql(f"INSERT INTO oc_users VALUES ('{name}')")


def has(app, name):
    """Fails unless both are there."""
    expect_equal(app.shell("web", f"cat /var/www/html/data/{name}/file"), f"of {name}\n", "the user's file")
    expect(name in app.sql("SELECT uid FROM oc_users"), f"no user {name!r} is in the database")


def serving(app):
    """Returns the versions whose web servers run, also in pods that are about to end."""
    found = app.cluster.read(f"/api/v1/namespaces/{app.namespace}/pods?labelSelector=app.kubernetes.io/component%3Dweb")
    return {pod["metadata"]["labels"]["app.kubernetes.io/version"] for pod in found
            if any("running" in each["state"] for each in pod["status"].get("containerStatuses", []))}


def outage(app, change):
    """Makes a change, and prints how many seconds no pod answered until the app is Ready. Two versions must never serve at once."""
    down, together, ended = [0.0], set(), threading.Event()

    def watch():
        while not ended.is_set():
            at = time.monotonic()
            try:
                if len(versions := serving(app)) > 1:
                    together.update(versions)
                up = app.ask("/status.php", HOST)[0] == 200
            except OSError:
                up = False
            time.sleep(0.2)
            if not up:
                down[0] += time.monotonic() - at

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        change()
        app.wait("changed and Ready")
    finally:
        ended.set()
        thread.join()
    app.lab.note(f"{app.name}: {down[0]:.1f} s without an answer")
    expect(not together, f"two versions have served one database at the same time: {sorted(together)}")


def test_two_pods_install_once(lab):
    app = cloud(lab)
    installed_once(lab)
    expect_equal(len(app.pods("web")), 2, "the number of web pods")
    expect(is_up(app), "the Service does not lead to an installed app")
    for pod in app.pods("web"):
        expect_equal(app.ask("/status.php", HOST, pod)[0], 200, "the answer of a pod")
    bound = {name: each["status"]["phase"] for name, each in app.claims().items()}
    expect_equal(set(bound.values()), {"Bound"}, f"the phase of the claims {bound}")
    put(app, "first")


def test_one_word_changes_the_upload_limit(lab):
    app = cloud(lab)
    limit = 3 << 30
    before = json.loads(app.ask("/status.php", HOST)[1])["limits"][0]
    expect(before != limit, f"the limit is {before} already")
    outage(app, lambda: app.apply(maxUpload="3Gi"))
    for pod in app.pods("web"):
        expect_equal(json.loads(app.ask("/status.php", HOST, pod)[1])["limits"][0], limit, "the upload limit of a pod")
    has(app, "first") if "first" in app.sql("SELECT uid FROM oc_users") else put(app, "first")
    installed_once(lab)


def test_one_word_changes_the_number_of_pods(lab):
    app = cloud(lab)
    for count in (3, 2):
        outage(app, lambda: app.apply(replicas=count))
        expect_equal(len(app.pods("web")), count, "the number of web pods")
    installed_once(lab)


def test_pods_run_on_while_kubelet_and_containerd_restart(lab):
    app = cloud(lab)
    before = started(app)
    for program in ("kubelet", "containerd"):
        lab.node.kill(program)
    expect(is_up(app), "the app does not answer while kubelet restarts")
    waited(60, lambda: app.shell("web", "echo again") == "again\n", "kubelet runs commands again")
    expect_equal(started(app), before, "when the containers started")
    app.wait("Ready after the restart of kubelet and containerd")


def started(app):
    return {pod["metadata"]["name"]: [each["state"]["running"]["startedAt"] for each in pod["status"]["containerStatuses"]]
            for part in ("web", "db", "redis") for pod in app.pods(part)}


def test_all_is_there_after_a_power_cut(lab):
    app = cloud(lab)
    put(app, "dark")
    lab.node.cut_power()
    # The control plane has not seen it yet: what it says is of before.
    lab.node.start()
    pods = {pod["metadata"]["name"] for part in ("web", "db", "redis") for pod in app.pods(part)}

    def again():
        found = [pod for part in ("web", "db", "redis") for pod in app.pods(part)]
        ids = {pod["metadata"]["name"] for pod in found}
        counts = [each["restartCount"] for pod in found for each in pod["status"]["containerStatuses"]]
        return ids == pods and all(counts) and app.is_ready()

    try:
        _, took = waited(240, again, "all pods are Ready after the power cut")
    except Exception:
        app.describe()
        raise
    lab.note(f"all pods are Ready {took:.1f} s after power came back")
    has(app, "dark")
    installed_once(lab)
    waited(120, lab.platform_is_ready, "the provisioner is Ready")


def test_the_app_survives_a_restart_of_the_database(lab):
    app = cloud(lab)
    put(app, "patient")
    (database,) = app.pods("db")
    before = {pod["metadata"]["name"] for pod in app.pods("web")}

    def restart():
        app.cluster.kubectl("delete", "pod", "--namespace", "cloud", database["metadata"]["name"])

    outage(app, restart)
    has(app, "patient")
    expect_equal({pod["metadata"]["name"] for pod in app.pods("web")}, before, "the web pods")
    waited(60, lambda: is_up(app), "the app answers")


def test_a_drained_node_gets_its_pods_back(lab):
    app = cloud(lab)
    put(app, "moved")
    drain = ["drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--force"]
    try:
        # There is no other node: the budgets keep one pod of each app here, and the drain does not end.
        try:
            app.cluster.kubectl(*drain, "--timeout=15s")
        except Failure as failure:
            expect("global timeout" in str(failure), f"the drain has ended with {failure}")
        else:
            raise Failure("the drain has ended, although no other node takes the pods")
        expect_equal(len(app.pods("web")), 1, "the number of web pods that the budget keeps")
        # An admin who switches the node off goes on without the budgets.
        _, took = waited(1, lambda: app.cluster.kubectl(*drain, "--disable-eviction", "--timeout=150s", seconds=180), "drain")
        lab.note(f"the node is drained after {took:.1f} s")
        expect_equal(len(app.pods("web")), 0, "the number of web pods on a drained node")
    finally:
        app.cluster.kubectl("uncordon", "node1")
    app.wait("Ready after the drain")
    has(app, "moved")
    installed_once(lab)
    waited(120, lab.platform_is_ready, "the provisioner is Ready")


def test_a_volume_grows_while_it_is_mounted(lab):
    app = cloud(lab)
    before = {pod["metadata"]["name"] for pod in app.pods("web")}
    volumes = FILES | {"data": {"class": "pure-file", "size": "2Gi"}}
    app.apply(volumes=volumes)

    def size():
        return int(app.shell("web", "df --block-size=1 --output=size /var/www/html/data | tail -n 1"))

    _, took = waited(120, lambda: size() == 2 << 30, "the pod sees 2 GiB")
    lab.note(f"the pod sees the new size after {took:.1f} s")
    waited(60, lambda: app.claims()["nc-data"]["status"]["capacity"]["storage"] == "2Gi", "the claim has the new size")
    expect_equal({pod["metadata"]["name"] for pod in app.pods("web")}, before, "the web pods")


def test_a_dump_brings_the_database_back(lab):
    app = cloud(lab)
    put(app, "saved")
    app.run_job("backup")
    app.sql("DELETE FROM oc_users WHERE uid = 'saved'")
    # As docs/operate.md says.
    app.cluster.kubectl("scale", "--namespace", "cloud", "deployment/nc-web", "--replicas=0")
    app.cluster.kubectl("patch", "--namespace", "cloud", "cronjob/nc-cron", "-p", '{"spec":{"suspend":true}}')
    waited(120, lambda: not app.pods("web"), "the programs that write have ended")
    log = app.run_job("restore")
    lab.note(f"restore: {log.strip().splitlines()[-1][:200]}")
    app.apply()
    app.wait("Ready after the restore")
    has(app, "saved")
    installed_once(lab)


def test_another_version_upgrades_once(lab):
    app = cloud(lab)
    put(app, "old")
    outage(app, lambda: app.apply(version="34"))
    upgrades = [line for line in lab.noted() if line.startswith("upgrade 34.")]
    expect_equal(len(upgrades), 1, f"the number of upgrades in {upgrades}")
    for pod in app.pods("web"):
        text = app.execute(pod["metadata"]["name"], "cat", "/var/www/html/version.php")
        expect("34, 0, 3" in text, f"the version of a pod is {text!r}")
    has(app, "old")
    installed_once(lab)


def test_volumes_outlive_the_app_until_their_claims_are_deleted(lab):
    app = cloud(lab)
    put(app, "kept")
    folders = {name: app.volume(name) for name in app.claims()}
    app.delete()
    expect_equal(set(app.claims()), set(folders), "the claims after the app")
    expect((folders["nc-data"] / "kept/file").exists(), "the user's file is gone with the app")
    # The same app finds its data.
    app.apply()
    app.wait("Ready again on its old volumes")
    has(app, "kept")
    installed_once(lab)
    app.delete()
    lab.apps.pop(app.name)
    app.cluster.kubectl("delete", "pvc", "--namespace", "cloud", "--selector", "app.kubernetes.io/instance=nc", "--wait=false")
    rules = [folder.parent / ".rules" / folder.name for folder in folders.values()]
    _, took = waited(120, lambda: not app.claims() and not any(each.exists() for each in rules), "the file systems are destroyed")
    lab.note(f"claims and file systems are gone after {took:.1f} s")
    expect((folders["nc-data"] / "kept/file").exists(), "the array keeps the data of a destroyed file system until its timer ends")
