//! Which PersistentVolumes the provisioner may create, change and delete.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{Validation, Variable};

use super::{Rules, finalizers_of_others, holds, literal, requests, variable};
use crate::compile::platform::Platform;
use crate::spec::{ArrayType, StorageSpec};
use crate::volume::{DRIVER, MARK, PROVISIONED_BY, PROVISIONER, volume_prefix};

pub(super) fn rules(platform: &Platform<'_>) -> Rules {
    let changed = [of_others(), same_spec(), same_metadata()];
    Rules {
        resource: "persistentvolumes",
        requests: vec![
            requests("persistentvolumes", &["CREATE", "UPDATE", "DELETE"]),
            requests("persistentvolumes/status", &["UPDATE"]),
        ],
        variables: variables(),
        validations: made(platform.storage.spec).into_iter().chain(changed).collect(),
    }
}

fn variables() -> Vec<Variable> {
    let (driver, mark) = (literal(DRIVER), literal(MARK));
    let (provisioned_by, provisioner) = (literal(PROVISIONED_BY), literal(PROVISIONER));
    let is_mark = format!(
        "variables.volume.metadata.name.startsWith({mark}) &&\n\
         variables.volume.spec.?csi.driver.orValue(\"\") == {driver}"
    );
    let is_ours = format!(
        "variables.volume.metadata.?annotations[?{provisioned_by}].orValue(\"\") ==\n{provisioner}"
    );
    vec![
        variable("volume", "request.operation == \"CREATE\" ? object : oldObject"),
        variable("isMark", is_mark),
        variable("isOurs", is_ours),
        variable("makes", "request.operation == \"CREATE\" && !variables.isMark"),
    ]
}

/// What must hold of one that is made.
fn made(spec: &StorageSpec) -> Vec<Validation> {
    let driver = literal(DRIVER);
    let secrets =
        ["controllerPublish", "nodeStage", "nodePublish", "controllerExpand", "nodeExpand"];
    let no_secrets = secrets.map(|of| format!("!has(object.spec.csi.{of}SecretRef)"));
    let no_secrets = no_secrets.join(" &&\n");
    let nfs = nfs(spec);
    vec![
        holds(
            "!variables.makes ||\n\
             object.metadata.name == \"pvc-\" + object.spec.?claimRef.?uid.orValue(\"\")",
            "makes a PersistentVolume for one claim, by whose UID it is named",
        ),
        holds(
            "!variables.makes || variables.isOurs",
            "makes no PersistentVolume without saying so in pv.kubernetes.io/provisioned-by",
        ),
        holds(
            format!(
                "!variables.makes ||\n({nfs}) ||\n\
                 (has(object.spec.csi) && object.spec.csi.driver == {driver})"
            ),
            "makes a PersistentVolume only of a volume on an array of the storage document",
        ),
        holds(
            format!("!variables.makes || !has(object.spec.csi) ||\n({no_secrets})"),
            "hands no Secret to a driver",
        ),
        holds(
            "!variables.makes ||\n\
             object.spec.persistentVolumeReclaimPolicy in [\"Delete\", \"Retain\"]",
            "has nobody else clear what a volume holds",
        ),
        holds(
            "request.operation != \"CREATE\" || !variables.isMark ||\n\
             (object.spec.?claimRef.?namespace.orValue(\"\") == \"kube-system\" &&\n\
             object.spec.?claimRef.?name.orValue(\"\") == object.metadata.name &&\n\
             !object.spec.?claimRef.?uid.hasValue() &&\n\
             object.spec.persistentVolumeReclaimPolicy == \"Retain\")",
            "makes a mark for no claim that there is",
        ),
    ]
}

fn of_others() -> Validation {
    holds(
        "request.operation == \"CREATE\" || variables.isOurs ||\n\
         (request.operation == \"DELETE\" && variables.isMark)",
        "leaves PersistentVolumes of others alone",
    )
}

/// The API server itself lets nobody change where a volume is.
fn same_spec() -> Validation {
    let fields = [
        "claimRef",
        "accessModes",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "mountOptions",
        "nodeAffinity",
        "volumeAttributesClassName",
    ];
    let same = fields.map(|field| format!("object.spec.?{field} == oldObject.spec.?{field}"));
    holds(
        format!("request.operation != \"UPDATE\" ||\n({})", same.join(" &&\n")),
        "changes nothing of a PersistentVolume but its capacity",
    )
}

fn same_metadata() -> Validation {
    let (after, before) = (finalizers_of_others("object"), finalizers_of_others("oldObject"));
    holds(
        format!(
            "request.operation != \"UPDATE\" ||\n\
             (object.metadata.?annotations == oldObject.metadata.?annotations &&\n\
             object.metadata.?labels == oldObject.metadata.?labels &&\n\
             object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences &&\n\
             {after} ==\n{before})"
        ),
        "changes nothing of a PersistentVolume's metadata but its own finalizer",
    )
}

/// Which NFS volumes are those of the document: file systems with the cluster's name or to be imported, on
/// the data addresses. Where such an address is left to the array to tell, any server will do.
fn nfs(spec: &StorageSpec) -> String {
    let blades = || spec.arrays.iter().filter(|array| array.r#type == ArrayType::FlashBlade);
    if blades().next().is_none() {
        return "false".to_owned();
    }
    let imports: Vec<String> =
        spec.imports.iter().map(|import| format!("/{}", import.volume)).collect();
    let prefix = literal(format!("/{}", volume_prefix(&spec.cluster)));
    let mut of_it = format!("object.spec.nfs.path.startsWith({prefix})");
    if !imports.is_empty() {
        of_it = format!("({of_it} || object.spec.nfs.path in {})", literal(imports));
    }
    let servers: Option<BTreeSet<&str>> = blades().map(|array| array.data.as_deref()).collect();
    let server = servers.map(|all| {
        let all: Vec<&str> = all.into_iter().collect();
        format!(" &&\nobject.spec.nfs.server in {}", literal(all))
    });
    format!("has(object.spec.nfs) &&\n{of_it}{}", server.unwrap_or_default())
}
