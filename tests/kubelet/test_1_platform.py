"""The rendered platform: the provisioner in its own pods."""

from cluster import waited
from failure import expect, expect_equal

LEASE = "/apis/coordination.k8s.io/v1/namespaces/pso-system/leases/pso-gen-provisioner"


def holder(lab):
    return lab.cluster.read(LEASE)["spec"].get("holderIdentity")


def names(lab):
    return [pod["metadata"]["name"] for pod in lab.cluster.pods("pso-system", component="provisioner")]


def test_the_provisioner_runs_in_its_pods(lab):
    pods = lab.cluster.pods("pso-system", component="provisioner")
    expect_equal([pod["status"]["phase"] for pod in pods], ["Running"] * 2, "the phase of the provisioner's pods")
    labels = lab.cluster.read("/api/v1/namespaces/pso-system")["metadata"]["labels"]
    expect_equal(labels["pod-security.kubernetes.io/enforce"], "restricted", "the profile of its namespace")
    waited(60, lambda: holder(lab), "one of them leads")


def test_another_pod_leads_when_the_leader_is_deleted(lab):
    waited(60, lambda: holder(lab), "one of them leads")
    before = holder(lab)
    leader = next((pod["metadata"]["name"] for pod in lab.cluster.pods("pso-system", component="provisioner")
                   if before.startswith(pod["metadata"]["name"])), None)
    expect(leader, f"no pod is called as the leader {before!r}")
    lab.cluster.kubectl("delete", "pod", "--namespace", "pso-system", leader, "--wait=false")
    _, took = waited(60, lambda: holder(lab) not in (None, "", before), "another one leads")
    lab.note(f"another pod leads after {took:.1f} s")
    waited(120, lambda: lab.platform_is_ready() and leader not in names(lab), "both pods are Ready again")
