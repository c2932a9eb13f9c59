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


def exports(array):
    """How file systems of a FlashBlade are exported, snapshotted and limited."""
    fb = flashblade
    client = fb.Client(array["url"].removeprefix("https://"), api_token=array["token"])
    good(client.get_arrays_performance(protocol="nfs"), "performance")
    (server,) = good(client.get_servers(), "servers")
    expect(server.name == "_array_server", server.name)

    policy = fb.NfsExportPolicyPost(rules=[fb.NfsExportPolicyRuleInPolicy(client="10.0.0.0/8")])
    (policy,) = good(client.post_nfs_export_policies(names=["p"], policy=policy), "export policy")
    expect(policy.rules[0].permission == "ro", "read-only unless asked otherwise")
    rule = fb.NfsExportPolicyRule(client="10.0.0.1", permission="rw", access="no-squash")
    made = client.post_nfs_export_policies_rules(
        policy_names=["p"], rule=rule, before_rule_name="p.1", versions=[policy.version]
    )
    (rule,) = good(made, "rule before the other")
    expect((rule.name, rule.index) == ("p.2", 1), f"{rule.name} stands first")
    listed = good(client.get_nfs_export_policies_rules(policy_names=["p"]), "rules")
    expect([each.client for each in listed] == ["10.0.0.1", "10.0.0.0/8"], "in order")
    changed = fb.NfsExportPolicyRulePatch(anonuid="1000")
    changed = client.patch_nfs_export_policies_rules(names=["p.2"], rule=changed)
    (changed,) = good(changed, "rule changed")
    expect(changed.anonuid == 1000 and changed.policy_version != policy.version, "another version")
    try:
        client.delete_nfs_export_policies(names=["p"], versions=[policy.version])
        expect(False, "an old version must be refused")
    except PureError as error:
        expect("412" in str(error), "an old version is a failed precondition, which the SDK raises")

    body = fb.FileSystemPost(nfs=fb.Nfs(v4_1_enabled=True, export_policy=fb.ReferenceWritable(name="p")))
    (made,) = good(client.post_file_systems(names=["exported"], file_system=body), "by a policy")
    expect(made.nfs.export_policy.name == "p" and not made.nfs.rules, "and not by rules")
    of_it = client.get_file_system_exports(filter="member.name='exported' and policy_type='NFS'")
    (export,) = good(of_it, "its export")
    expect(export.enabled and export.export_name == "exported", export.name)
    refused(client.delete_nfs_export_policies(names=["p"]), "in use", "a policy in use")
    body = fb.FileSystemExportPost(export_name="second", server=fb.Reference(name="_array_server"))
    pair = {"member_names": ["exported"], "policy_names": ["p"]}
    (second,) = good(client.post_file_system_exports(**pair, file_system_export=body), "second export")
    refused(client.post_file_system_exports(**pair, file_system_export=body), "already exists", "twice")
    body = fb.FileSystemExportPatch(export_name="third")
    changed = client.patch_file_system_exports(names=[second.name], file_system_export=body)
    (third,) = good(changed, "under another name")
    good(client.delete_file_system_exports(names=[third.name]), "and gone")
    body = fb.FileSystemPost(provisioned=GI)
    (made,) = good(
        client.post_file_systems(names=["hidden"], file_system=body, default_exports=[""]), "no exports"
    )
    expect(not made.nfs.rules, "not exported")
    made = client.post_servers(names=["s"], create_ds="s_nfs", server=fb.ServerPost())
    good(made, "server")
    good(client.delete_servers(names=["s"], cascade_delete=["directory-services"]), "server gone")

    rule = fb.PolicyRule(every=86_400_000, keep_for=604_800_000)
    good(client.post_policies(names=["daily"], policy=fb.PolicyPost(rules=[rule])), "policy")
    pair = {"policy_names": ["daily"], "member_names": ["exported"]}
    good(client.post_policies_file_systems(**pair), "attached")
    refused(client.post_file_systems_policies(**pair), "already exists", "attached twice")
    refused(client.delete_policies(names=["daily"]), "in use", "a policy in use")
    body = fb.SnapshotPolicyPatch(enabled=False, remove_rules=[rule])
    (changed,) = good(client.patch_policies(names=["daily"], policy=body), "policy changed")
    expect(not changed.enabled and not changed.rules, "off, without rules")
    good(client.delete_file_systems_policies(**pair), "detached")
    good(client.delete_policies(names=["daily"]), "policy gone")

    of = {"file_system_names": ["exported"], "uids": [1000, 1001]}
    made = good(client.post_quotas_users(**of, quota=fb.UserQuotaPost(quota=GI)), "quotas")
    expect([each.user.id for each in made] == [1000, 1001], "of two users")
    changed = client.patch_quotas_users(**of, quota=fb.UserQuotaPatch(quota=2 * GI))
    expect(good(changed, "changed")[0].quota == 2 * GI, "to the double")
    good(client.delete_quotas_users(names=[made[0].name]), "one gone")
    refused(client.delete_quotas_users(**of), "does not exist", "gone twice")

    gone = fb.FileSystemPatch(destroyed=True)
    good(client.patch_file_systems(names=["exported"], file_system=gone), "destroyed")
    good(client.delete_file_systems(names=["exported"]), "eradicated")
    good(client.delete_nfs_export_policies(names=["p"]), "and its policy")


def older(flashblade_array, flasharray_array):
    """The SDK at versions before the newest."""
    client = flashblade.Client(
        flashblade_array["url"].removeprefix("https://"),
        api_token=flashblade_array["token"], version="2.12",
    )
    body = flashblade.FileSystemPost(provisioned=GI)
    (made,) = good(client.post_file_systems(names=["older"], file_system=body), "made by REST 2.12")
    expect(not hasattr(made, "group_ownership"), "without what came later")
    young = flashblade.FileSystemPost(group_ownership="creator")
    refused(client.post_file_systems(names=["young"], file_system=young), "Unknown", "a younger field")
    client = flasharray.Client(
        flasharray_array["url"].removeprefix("https://"),
        api_token=flasharray_array["token"], version="2.4",
    )
    body = flasharray.VolumePost(provisioned=GI)
    (made,) = good(client.post_volumes(names=["older"], volume=body), "made by REST 2.4")
    expect(not hasattr(made, "priority"), "without what came later")
    (about,) = good(client.get_arrays(), "the array")
    expect(not hasattr(about, "eradication_config"), "without what came later")


def protection(array):
    """Tags, protection groups, pods and volume groups of a FlashArray."""
    fa = flasharray
    client = fa.Client(array["url"].removeprefix("https://"), api_token=array["token"])
    good(client.get_arrays_performance(protocol_group="block"), "performance")
    body = fa.VolumePost(provisioned=GI, tags=[fa.Tag(key="app", value="shop")])
    good(client.post_volumes(names=["tagged"], volume=body), "volume with a tag")
    of = {"resource_names": ["tagged"]}
    tags = [fa.TagBatch(key="app", value="store"), fa.TagBatch(key="pvc", value="x", namespace="k8s")]
    good(client.put_volumes_tags_batch(**of, tag=tags), "tags put")
    (tag,) = good(client.get_volumes_tags(**of), "of the default namespace")
    expect((tag.key, tag.value, tag.copyable) == ("app", "store", True), f"{tag.key}={tag.value}")
    both = client.get_volumes_tags(**of, namespaces=["default", "k8s"])
    expect(len(good(both, "of both")) == 2, "two")
    long = [fa.TagBatch(key="k" * 65, value="")]
    refused(client.put_volumes_tags_batch(**of, tag=long), "64", "a key too long")
    source = fa.VolumePost(source=fa.Reference(name="tagged"))
    good(client.post_volumes(names=["copied"], volume=source), "copy")
    copied = client.get_volumes_tags(resource_names=["copied"], namespaces=["default", "k8s"])
    expect(len(good(copied, "its tags")) == 2, "follow")
    good(client.delete_volumes_tags(**of, keys=["pvc"], namespaces=["k8s"]), "tag deleted")
    refused(client.delete_volumes_tags(**of, keys=["pvc"], namespaces=["k8s"]), "does not exist", "twice")

    # Without a body the SDK sends none.
    good(client.post_protection_groups(names=["pg"]), "protection group")
    schedule = fa.ProtectionGroup(
        snapshot_schedule=fa.SnapshotSchedule(enabled=True, frequency=3_600_000),
        source_retention=fa.RetentionPolicy(all_for_sec=86_400, days=7, per_day=2),
    )
    changed = client.patch_protection_groups(names=["pg"], protection_group=schedule)
    (changed,) = good(changed, "schedule")
    expect(changed.snapshot_schedule.enabled and changed.source_retention.per_day == 2, "kept")
    pair = {"group_names": ["pg"], "member_names": ["tagged"]}
    good(client.post_protection_groups_volumes(**pair), "member")
    body = fa.VolumePost(provisioned=GI)
    made = client.post_volumes(names=["kept"], volume=body, add_to_protection_group_names=["pg"])
    good(made, "volume made as a member")
    members = good(client.get_protection_groups_volumes(group_names=["pg"]), "members")
    expect({each.member.name for each in members} == {"kept", "tagged"}, "two")
    snapshot = fa.ProtectionGroupSnapshotPost(suffix="s1")
    made = client.post_protection_group_snapshots(
        source_names=["pg"], protection_group_snapshot=snapshot
    )
    expect(good(made, "snapshot of the group")[0].name == "pg.s1", "pg.s1")
    parts = good(client.get_volume_snapshots(filter="name='pg.s1.*'"), "and of its volumes")
    expect([each.name for each in parts] == ["pg.s1.kept", "pg.s1.tagged"], "two")
    gone = fa.ProtectionGroupSnapshotPatch(destroyed=True)
    changed = client.patch_protection_group_snapshots(
        names=["pg.s1"], protection_group_snapshot=gone
    )
    good(changed, "destroyed")
    good(client.delete_protection_group_snapshots(names=["pg.s1"]), "eradicated")
    lock = fa.ProtectionGroup(retention_lock="ratcheted")
    good(client.patch_protection_groups(names=["pg"], protection_group=lock), "locked")
    refused(client.delete_protection_groups_volumes(**pair), "retention lock", "a member leaves")
    gone = fa.VolumePatch(destroyed=True)
    good(client.patch_volumes(names=["kept"], volume=gone), "a member is destroyed")
    refused(client.delete_volumes(names=["kept"]), "Eradication is disabled", "and eradicated")

    refused(client.post_volumes(names=["pod::v"], volume=body), "does not exist", "without its pod")
    good(client.post_pods(names=["pod"], pod=fa.PodPost()), "pod")
    good(client.post_volume_groups(names=["vg"], volume_group=fa.VolumeGroupPost()), "volume group")
    (made,) = good(client.post_volumes(names=["pod::v"], volume=body), "volume in a pod")
    expect(made.pod.name == "pod", made.name)
    (made,) = good(client.post_volumes(names=["vg/v"], volume=body), "volume in a group")
    expect(made.volume_group.name == "vg", made.name)
    refused(client.patch_pods(names=["pod"], pod=fa.PodPatch(destroyed=True)), "not empty", "destroyed")
    gone = client.patch_pods(names=["pod"], pod=fa.PodPatch(destroyed=True), destroy_contents=True)
    good(gone, "destroyed with its contents")
    good(client.delete_pods(names=["pod"], eradicate_contents=True), "eradicated with them")
    moved = fa.VolumePatch(volume_group=fa.Reference(name=""))
    (moved,) = good(client.patch_volumes(names=["vg/v"], volume=moved), "moved out")
    expect(moved.name == "v", moved.name)
    gone = fa.VolumeGroupPatch(destroyed=True)
    good(client.patch_volume_groups(names=["vg"], volume_group=gone), "volume group destroyed")
    good(client.delete_volume_groups(names=["vg"]), "eradicated")

    iqn = "iqn.2026-01.com.example:node2"
    good(client.post_hosts(names=["node2"], host=fa.HostPost(iqns=[iqn])), "host")
    good(client.post_connections(host_names=["node2"], volume_names=["v"]), "connected")
    good(client.patch_hosts(names=["node2"], host=fa.HostPatch(name="node3")), "renamed")
    (seen,) = good(client.get_connections(host_names=["node3"]), "its connection")
    expect(seen.host.name == "node3", "has followed")
    again = fa.HostPatch(add_iqns=[iqn])
    refused(client.patch_hosts(names=["node3"], host=again), "already in use", "added twice")


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
            exports(arrays["FlashBlade"])
            volumes(arrays["FlashArray"])
            protection(arrays["FlashArray"])
            older(arrays["FlashBlade"], arrays["FlashArray"])
            faults(told["page"], arrays["FlashBlade"])
        finally:
            simulator.terminate()
            code = simulator.wait(10)
    expect(code == 0, f"it ends with exit code {code}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
