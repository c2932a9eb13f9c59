"""The vendor's SDK against `pso-gen simulate`: what a provisioner does, and the errors that it meets.

    drive.py PSO_GEN
"""

import json
import subprocess
import sys
import urllib.request

from pypureclient import flasharray, flashblade
from pypureclient.exceptions import PureError

GI = 2**30


def expect(holds, what):
    """Says what was seen, and ends the run when it does not hold."""
    print("ok  " if holds else "FAIL", what)
    if not holds:
        sys.exit(1)


def good(response, what):
    """Returns the items of an answer that must be good."""
    expect(response.status_code == 200, f"{what}: {getattr(response, 'errors', '')}")
    return list(response.items) if getattr(response, "items", None) else []


def refused(response, word, what):
    """Fails unless the answer is a refusal that has a word in it."""
    errors = [error.message for error in getattr(response, "errors", [])]
    expect(response.status_code == 400 and any(word in each for each in errors), f"{what}: {errors}")


def file_systems(array):
    """A FlashBlade."""
    client = flashblade.Client(array["url"].removeprefix("https://"), api_token=array["token"])
    (about,) = good(client.get_arrays(), "the array tells who it is")
    expect(about.name == "fb1" and about.os == "Purity//FB", f"{about.name}, {about.os}")
    vips = good(client.get_network_interfaces(filter="services='data' and enabled"), "data VIPs")
    expect(vips[0].address == "192.0.2.1", f"data VIP {vips[0].address}")

    rules = "10.20.0.0/16(rw,no_root_squash)"
    body = flashblade.FileSystemPost(
        provisioned=5 * GI, hard_limit_enabled=True, snapshot_directory_enabled=False,
        nfs=flashblade.Nfs(v4_1_enabled=True, rules=rules),
    )
    (made,) = good(client.post_file_systems(names=["k-pvc-1"], file_system=body), "made")
    expect((made.provisioned, made.nfs.rules) == (5 * GI, rules), "with size and export rules")
    refused(client.post_file_systems(names=["k-pvc-1"], file_system=body), "already exists", "twice")
    refused(client.get_file_systems(names=["nope"]), "does not exist", "one that is not there")

    bigger = flashblade.FileSystemPatch(provisioned=10 * GI)
    (grown,) = good(client.patch_file_systems(names=["k-pvc-1"], file_system=bigger), "grown")
    expect(grown.provisioned == 10 * GI, "to the new size")

    for suffix in ("s1", "s2"):
        body = flashblade.FileSystemSnapshotPost(suffix=suffix)
        snapshot = client.post_file_system_snapshots(
            source_names=["k-pvc-1"], file_system_snapshot=body
        )
        (made,) = good(snapshot, f"snapshot {suffix}")
        expect(made.name == f"k-pvc-1.{suffix}", made.name)
    # Without a suffix the SDK sends no body at all.
    good(client.post_file_system_snapshots(source_names=["k-pvc-1"]), "snapshot without a suffix")
    owned = client.get_file_system_snapshots(names_or_owner_names=["k-pvc-1"])
    expect(len(good(owned, "snapshots of it")) == 3, "three")

    for number in range(12):
        body = flashblade.FileSystemPost(provisioned=GI)
        good(client.post_file_systems(names=[f"many-{number:02}"], file_system=body), f"{number}")
    names, token = [], None
    while True:
        page = client.get_file_systems(limit=5, continuation_token=token, filter="name='many-*'")
        names += [each.name for each in good(page, "a page")]
        token = page.continuation_token
        if not token:
            break
    expect(names == [f"many-{number:02}" for number in range(12)], "all, page by page")

    gone = flashblade.FileSystemPatch(
        destroyed=True, nfs=flashblade.NfsPatch(v3_enabled=False, v4_1_enabled=False)
    )
    (gone,) = good(client.patch_file_systems(names=["k-pvc-1"], file_system=gone), "destroyed")
    expect(gone.destroyed and gone.time_remaining > 0, "with time left")
    back = flashblade.FileSystemPatch(destroyed=False)
    good(client.patch_file_systems(names=["k-pvc-1"], file_system=back), "recovered")
    refused(client.delete_file_systems(names=["k-pvc-1"]), "not been destroyed", "eradicated alive")
    good(client.get_arrays_space(), "space")


def volumes(array):
    """A FlashArray."""
    client = flasharray.Client(array["url"].removeprefix("https://"), api_token=array["token"])
    expect(client.get_rest_version() == "2.56", f"REST {client.get_rest_version()}")
    ports = good(client.get_ports(), "ports")
    expect(all(each.iqn.startswith("iqn.") and each.portal for each in ports), "with target and portal")
    good(client.get_controllers(filter="status='ready'"), "controllers")

    body = flasharray.VolumePost(provisioned=5 * GI)
    made = client.post_volumes(names=["k-pvc-1"], volume=body, with_default_protection=False)
    (made,) = good(made, "made")
    expect(len(made.serial) == 24, f"serial {made.serial}")
    refused(client.post_volumes(names=["k-pvc-1"], volume=body), "already exists", "twice")
    odd = flasharray.VolumePost(provisioned=GI + 1)
    refused(client.post_volumes(names=["odd"], volume=odd), "size", "a size that is no multiple of 512")
    bigger = flasharray.VolumePatch(provisioned=10 * GI)
    (grown,) = good(client.patch_volumes(names=["k-pvc-1"], volume=bigger), "grown")
    expect(grown.provisioned == 10 * GI and grown.serial == made.serial, "the same device")
    smaller = flasharray.VolumePatch(provisioned=GI)
    refused(client.patch_volumes(names=["k-pvc-1"], volume=smaller), "truncate", "shrunk")

    iqn = "iqn.2026-01.com.example:node1"
    good(client.post_hosts(names=["node1"], host=flasharray.HostPost(iqns=[iqn])), "host")
    (found,) = good(client.get_hosts(filter=f"iqns='{iqn}'"), "host by initiator")
    expect(found.name == "node1", found.name)
    pair = {"host_names": ["node1"], "volume_names": ["k-pvc-1"]}
    body = flasharray.ConnectionPost()
    (seen,) = good(client.post_connections(**pair, connection=body), "connected")
    expect(seen.lun == 1, f"LUN {seen.lun}")
    refused(client.post_connections(**pair, connection=body), "already exists", "connected twice")
    gone = flasharray.VolumePatch(destroyed=True)
    refused(client.patch_volumes(names=["k-pvc-1"], volume=gone), "connections", "destroyed in use")
    good(client.delete_connections(**pair), "disconnected")
    refused(client.delete_connections(**pair), "does not exist", "disconnected twice")

    snapshot = client.post_volume_snapshots(
        source_names=["k-pvc-1"], volume_snapshot=flasharray.VolumeSnapshotPost(suffix="s1")
    )
    good(snapshot, "snapshot")
    source = flasharray.VolumePost(source=flasharray.Reference(name="k-pvc-1.s1"))
    (clone,) = good(client.post_volumes(names=["clone"], volume=source), "clone")
    expect(clone.provisioned == 10 * GI, "of the same size")
    (gone,) = good(client.patch_volumes(names=["k-pvc-1"], volume=gone), "destroyed")
    expect(gone.time_remaining > 0, "with time left")
    for number in range(12):
        body = flasharray.VolumePost(provisioned=GI)
        good(client.post_volumes(names=[f"many-{number:02}"], volume=body), f"{number}")
    # This SDK goes on to the next page by itself.
    names = [each.name for each in client.get_volumes(limit=100, filter="name='many-*'").items]
    expect(len(names) == 12, "all volumes")


def faults(page, array):
    """What the SDK makes of faults."""

    def control(method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(page + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status

    client = flashblade.Client(array["url"].removeprefix("https://"), api_token=array["token"])
    control("DELETE", f"/arrays/{array['name']}/sessions")
    good(client.get_arrays(), "after its session was cut, the SDK logs in again")
    control("PUT", "/faults", [{"fault": {"throttled": {"retryAfter": 1}}, "times": 1}])
    good(client.get_arrays(), "after 429, the SDK waits")
    control("PUT", "/faults", [{"fault": "busy", "times": 1}])
    good(client.get_arrays(), "after `Server is busy`, the SDK waits")
    rule = {"fault": "answerLost", "method": "POST", "resource": "file-systems", "times": 1}
    control("PUT", "/faults", [rule])
    body = flashblade.FileSystemPost(provisioned=GI)
    try:
        answer = client.post_file_systems(names=["lost"], file_system=body)
        # The SDK may have sent it again by itself, and then meets its own.
        refused(answer, "already exists", "the answer was lost, the change was made")
    except (PureError, OSError, Exception) as error:  # noqa: BLE001 - whatever its transport raises
        expect(True, f"the SDK says {type(error).__name__} when an answer is lost")
    control("PUT", "/faults", [])
    (there,) = good(client.get_file_systems(names=["lost"]), "and it is there")
    expect(there.provisioned == GI, "as asked for")


def main(binary):
    command = [binary, "simulate", "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            told = json.loads(simulator.stdout.readline())
            arrays = {each["kind"]: each for each in told["arrays"]}
            file_systems(arrays["FlashBlade"])
            volumes(arrays["FlashArray"])
            faults(told["page"], arrays["FlashBlade"])
        finally:
            simulator.terminate()
            code = simulator.wait(10)
    expect(code == 0, f"it ends with exit code {code}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
