//! Rules for the account of the CSI services. A role cannot limit an account to the objects of one driver or to single
//! fields: with the same rights, a stolen token could give a claim the volume of another one, or a snapshot of any driver
//! another content.

use k8s_openapi::api::admissionregistration::v1::{NamedRuleWithOperations, Validation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Rules, condition, literal, policy, refuses_unless, requests, requests_in, unchanged};
use crate::compiler::manifest::Object;
use crate::contract::DRIVER;
use crate::contract::name::SNAPSHOT_GROUP;

/// Name prefix of the policies.
const NAME: &str = "pso-gen-csi";

/// Returns the policies with their bindings. `account` is the user name of the CSI services, and `metadata` returns the
/// metadata of an object with a name.
pub(in super::super) fn policies(
    account: &str,
    has_resizer: bool,
    metadata: &dyn Fn(&str) -> ObjectMeta,
) -> Vec<Object> {
    let rules = |what: &str, requests: Vec<NamedRuleWithOperations>, validations| Rules {
        name: format!("{NAME}-{what}"),
        requests,
        conditions: vec![condition(
            "the-csi-services",
            format!("request.userInfo.username == {}", literal(account)),
        )],
        variables: Vec::new(),
        validations,
    };
    let update = &["UPDATE"];
    let contents = ["volumesnapshotcontents", "volumesnapshotcontents/status"];
    let contents = contents.map(|resource| requests_in(SNAPSHOT_GROUP, resource, update)).to_vec();
    let mut all = vec![rules("volumesnapshotcontents", contents, of_contents())];
    if has_resizer {
        let volumes = vec![requests("persistentvolumes", update)];
        let claims = vec![requests("persistentvolumeclaims/status", update)];
        all.push(rules("persistentvolumes", volumes, of_volumes()));
        all.push(rules("persistentvolumeclaims", claims, of_claims()));
    }
    all.into_iter().flat_map(|rules| policy(metadata(&rules.name), rules)).collect()
}

fn holds(expression: String, message: &str) -> Validation {
    refuses_unless(expression, format!("the CSI services of pso-gen {message}"))
}

/// The snapshotter records its snapshot, and changes nothing that the snapshot-controller or an admin wrote. It removes the
/// record when it has deleted the snapshot of a content that is being deleted:
/// <https://github.com/kubernetes-csi/external-snapshotter/blob/v8.7.0/pkg/sidecar-controller/snapshot_controller.go>
fn of_contents() -> Vec<Validation> {
    let handle = |of: &str| format!("{of}.?status.?snapshotHandle");
    let (before, after) = (handle("oldObject"), handle("object"));
    let named = "object.spec.?source.?snapshotHandle";
    vec![
        holds(
            format!("object.spec.driver == {} &&\noldObject.spec == object.spec", literal(DRIVER)),
            "write only on VolumeSnapshotContents of their own driver, and not their specification",
        ),
        holds(
            format!(
                "{after} == {before} || !{before}.hasValue() ||\n(object.metadata.?deletionTimestamp.hasValue() && !{after}.hasValue())"
            ),
            "record the snapshot of a VolumeSnapshotContent once, and remove the record only while the content is being deleted",
        ),
        holds(
            format!("!{named}.hasValue() || !{after}.hasValue() || {after} == {named}"),
            "record only the snapshot that the specification of a VolumeSnapshotContent names, if it names one",
        ),
    ]
}

/// The resizer records the VolumeAttributesClass of a volume.
fn of_volumes() -> Vec<Validation> {
    let spec = [
        "accessModes",
        "capacity",
        "claimRef",
        "csi",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeMode",
    ];
    vec![holds(
        format!(
            "oldObject.spec.?csi.?driver.orValue(\"\") == {} &&\n{} &&\n{}",
            literal(DRIVER),
            unchanged("spec", &spec),
            of_metadata(),
        ),
        "change only the VolumeAttributesClass of a PersistentVolume, and only of their own driver",
    )]
}

/// The resizer records on a claim which class its volume has, and the state of a change.
fn of_claims() -> Vec<Validation> {
    let status =
        ["accessModes", "allocatedResourceStatuses", "allocatedResources", "capacity", "phase"];
    vec![holds(
        format!("{} &&\n{}", unchanged("?status", &status), of_metadata()),
        "record only the VolumeAttributesClass in the status of a claim",
    )]
}

fn of_metadata() -> String {
    unchanged("metadata", &["annotations", "finalizers", "labels", "ownerReferences"])
}
