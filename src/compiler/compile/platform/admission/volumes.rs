//! Rules for the provisioner's PersistentVolumes. Every field of a new one is determined by the claim's UID, by
//! the storage document, or by IDs from the array; all other fields are refused.

mod facts;

use k8s_openapi::api::admissionregistration::v1::{Validation, Variable};

use super::{
    Rules, annotations, by_the_provisioner, finalizers, finalizers_of_others, holds, literal,
    requests, unchanged, variable,
};
use crate::compiler::compile::platform::{NAME, Platform};
use crate::contract::annotation;
use crate::contract::name::{BARRIER_PREFIX, volume_prefix};
use crate::contract::{DRIVER, FINALIZER, PROVISIONER};

/// Annotations of a new PersistentVolume: exactly these.
const ANNOTATIONS: [&str; 5] = [
    annotation::ARRAY,
    annotation::ARRAY_ID,
    annotation::PROVISIONED_BY,
    annotation::VOLUME,
    annotation::VOLUME_ID,
];
/// The finalizer that the API server adds to each PersistentVolume.
const PROTECTION: &str = "kubernetes.io/pv-protection";
/// Form of UIDs of the API server.
const UID: &str = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
/// Form of IDs and serial numbers of arrays.
const ID: &str = "^[0-9A-Za-z-]{1,64}$";

pub(super) fn rules(platform: &Platform<'_>) -> Rules {
    let changed = [of_others(), not_bound(), same_spec(), same_metadata(), lets_go(), status()];
    let made = made().into_iter().chain(mark());
    Rules {
        name: format!("{NAME}-persistentvolumes"),
        requests: vec![
            requests("persistentvolumes", &["CREATE", "UPDATE", "DELETE"]),
            requests("persistentvolumes/status", &["UPDATE"]),
        ],
        conditions: vec![by_the_provisioner(platform)],
        variables: variables(platform),
        validations: made.chain(changed).collect(),
    }
}

/// Variables are evaluated lazily: those of a new PersistentVolume are not evaluated for others.
fn variables(platform: &Platform<'_>) -> Vec<Variable> {
    let (driver, mark) = (literal(DRIVER), literal(BARRIER_PREFIX));
    let (provisioned_by, provisioner) = (literal(annotation::PROVISIONED_BY), literal(PROVISIONER));
    let is_mark = format!(
        "variables.volume.metadata.name.startsWith({mark}) &&\n\
         variables.volume.spec.?csi.driver.orValue(\"\") == {driver}"
    );
    let is_ours = format!(
        "variables.volume.metadata.?annotations[?{provisioned_by}].orValue(\"\") ==\n{provisioner}"
    );
    let annotation =
        |key: &str| format!("{}[?{}].orValue(\"\")", annotations("object"), literal(key));
    let claim = |field: &str| format!("object.spec.?claimRef.?{field}.orValue(\"\")");
    let prefix = literal(volume_prefix(&platform.storage.spec.cluster));
    let mut variables = vec![
        variable("volume", "request.operation == \"CREATE\" ? object : oldObject"),
        variable("isMark", is_mark),
        variable("isOurs", is_ours),
        variable("makes", "request.operation == \"CREATE\" && !variables.isMark"),
        variable("uid", claim("uid")),
        variable("claim", format!("{} + \"/\" + {}", claim("namespace"), claim("name"))),
        variable("class", "object.spec.?storageClassName.orValue(\"\")"),
        variable("array", annotation(annotation::ARRAY)),
        variable("arrayId", annotation(annotation::ARRAY_ID)),
        variable("name", annotation(annotation::VOLUME)),
        variable("nameId", annotation(annotation::VOLUME_ID)),
    ];
    variables.extend(facts::facts(platform));
    variables.extend([
        variable(
            "isImport",
            "variables.imports[?variables.claim].orValue([]) == [variables.array, variables.name]",
        ),
        variable("isOwn", format!("variables.name == {prefix} + variables.uid")),
    ]);
    variables
}

/// Returns the rules for a new PersistentVolume.
fn made() -> Vec<Validation> {
    let makes = |expression: &str| format!("!variables.makes ||\n({expression})");
    let is = |of: &str, form: &str| format!("{of}.matches({})", literal(form));
    let mut validations = vec![
        holds(
            makes(&format!(
                "{} &&\nobject.metadata.name == \"pvc-\" + variables.uid &&\n\
                 object.spec.claimRef.?kind.orValue(\"\") == \"PersistentVolumeClaim\" &&\n\
                 object.spec.claimRef.?apiVersion.orValue(\"\") == \"v1\" &&\n\
                 object.spec.claimRef.?namespace.orValue(\"\") != \"\" &&\n\
                 object.spec.claimRef.?name.orValue(\"\") != \"\" &&\n\
                 !has(object.spec.claimRef.fieldPath) && !has(object.spec.claimRef.resourceVersion)",
                is("variables.uid", UID)
            )),
            "makes a PersistentVolume for one claim, by whose UID it is named",
        ),
        holds(
            makes("variables.isOurs"),
            "makes no PersistentVolume without saying so in pv.kubernetes.io/provisioned-by",
        ),
        holds(
            makes(&format!(
                "{all}.all(key, key in {keys}) && {keys}.all(key, key in {all}) &&\n\
                 {} in {after} &&\n\
                 {after}.all(each, each in {}) &&\n\
                 !has(object.metadata.labels) && !has(object.metadata.ownerReferences)",
                literal(FINALIZER),
                literal([FINALIZER, PROTECTION].to_vec()),
                after = finalizers("object"),
                all = annotations("object"),
                keys = literal(ANNOTATIONS.to_vec()),
            )),
            "sets only its own annotations and finalizer on a PersistentVolume, and no labels or owners",
        ),
        holds(
            makes("variables.isOwn || variables.isImport"),
            "makes a PersistentVolume only of the claim's own volume, or of the volume that the storage document imports \
             for the claim",
        ),
        holds(
            makes(&format!(
                "variables.array in variables.arrays &&\n{} &&\n{} &&\n\
                 variables.arrays[variables.array].id in [\"\", variables.arrayId]",
                is("variables.arrayId", ID),
                is("variables.nameId", ID),
            )),
            "makes a PersistentVolume only of a volume on an array of the storage document",
        ),
    ];
    validations.extend(
        sources()
            .into_iter()
            .chain(details())
            .map(|(expression, message)| holds(makes(&expression), message)),
    );
    validations
}

/// Returns the rules for the location of the volume.
fn sources() -> Vec<(String, &'static str)> {
    let secrets = ["controllerPublish", "nodePublish", "controllerExpand", "nodeExpand"];
    let no_secrets = secrets.map(|of| format!("!has(object.spec.csi.{of}SecretRef)"));
    // Kubelet reads the Secret, so any other one would reach the node.
    let of_array = format!(
        "object.spec.csi.?nodeStageSecretRef.?namespace.orValue(\"\") + \"/\" +\n\
         object.spec.csi.?nodeStageSecretRef.?name.orValue(\"\") ==\n\
         variables.arrays[?variables.array].orValue({}).secret",
        facts::NO_ARRAY
    );
    let on_array = "makes a PersistentVolume only of a volume on an array of the storage document";
    vec![
        (
            format!(
                "has(object.spec.nfs) ||\n\
                 (has(object.spec.csi) && object.spec.csi.driver == {})",
                literal(DRIVER)
            ),
            on_array,
        ),
        (
            format!(
                "!has(object.spec.nfs) ||\n\
                 (object.spec.nfs.path == \"/\" + variables.name &&\n\
                 !object.spec.nfs.?readOnly.orValue(false) &&\n\
                 variables.arrays[?variables.array].orValue({none}).type == \"FlashBlade\" &&\n\
                 (variables.arrays[variables.array].data == \"\" ||\n\
                 variables.arrays[variables.array].data == object.spec.nfs.server))",
                none = facts::NO_ARRAY
            ),
            on_array,
        ),
        (
            format!(
                "!has(object.spec.csi) ||\n\
                 (variables.arrays[?variables.array].orValue({none}).type == \"FlashArray\" &&\n\
                 object.spec.csi.volumeHandle == variables.arrayId + \"/\" + variables.nameId &&\n\
                 !object.spec.csi.?readOnly.orValue(false) &&\n\
                 object.spec.csi.?volumeAttributes.orValue({{}}).size() == 3 &&\n\
                 object.spec.csi.?volumeAttributes[?\"array\"].orValue(\"\") == variables.array &&\n\
                 object.spec.csi.?volumeAttributes[?\"name\"].orValue(\"\") == variables.name &&\n\
                 object.spec.csi.?volumeAttributes[?\"serial\"].orValue(\"-\").matches(\"^[0-9A-Za-z]{{0,64}}$\"))",
                none = facts::NO_ARRAY
            ),
            on_array,
        ),
        (
            format!("!has(object.spec.csi) ||\n({} &&\n{of_array})", no_secrets.join(" &&\n")),
            "hands no Secret to a driver but the one with the CHAP passwords of the array",
        ),
    ]
}

/// Returns the rules for fields that the class and the array determine.
fn details() -> Vec<(String, &'static str)> {
    vec![
        (
            "variables.class in variables.classes &&\n\
             (variables.classes[variables.class].backend == \"file\") == has(object.spec.nfs) &&\n\
             object.spec.?csi.?fsType.orValue(\"\") == variables.classes[variables.class].fsType &&\n\
             object.spec.?mountOptions.orValue([]) == variables.options[variables.class]"
                .to_owned(),
            "uses the mount options and the file system that the storage document sets for the class",
        ),
        (
            "object.spec.?persistentVolumeReclaimPolicy.orValue(\"\") == (variables.isOwn ?\n\
             variables.classes[?variables.class].orValue({\"reclaim\": \"\"}).reclaim : \"Retain\")"
                .to_owned(),
            "uses the reclaim policy that the storage document sets for the class, and Retain for imports",
        ),
        (
            "object.spec.?nodeAffinity.?required.?nodeSelectorTerms.orValue([]).map(term,\n\
             !has(term.matchFields) && term.?matchExpressions.orValue([]).all(each, each.operator == \"In\" &&\n\
             each.?values.orValue([]).size() == 1) ?\n\
             term.?matchExpressions.orValue([]).map(each, each.key + \"=\" + each.values[0]).join(\",\") : \"\") ==\n\
             variables.nodes[?variables.array].orValue([])"
                .to_owned(),
            "limits a volume to the nodes that reach its array, and to no others",
        ),
        (
            "object.spec.?accessModes.orValue([]).all(mode, mode in [\"ReadWriteOnce\", \"ReadWriteOncePod\",\n\
             \"ReadOnlyMany\", \"ReadWriteMany\"]) &&\n\
             object.spec.?volumeMode.orValue(\"Filesystem\") in (has(object.spec.nfs) ? [\"Filesystem\"] :\n\
             [\"Filesystem\", \"Block\"]) &&\n\
             !has(object.spec.volumeAttributesClassName)"
                .to_owned(),
            "sets no field of a PersistentVolume but those that it needs",
        ),
    ]
}

/// Returns the rule for a mark: a PersistentVolume without data, for a claim that does not exist.
fn mark() -> [Validation; 1] {
    let absent = ["annotations", "labels", "ownerReferences"]
        .map(|field| format!("!has(object.metadata.{field})"))
        .into_iter()
        .chain(
            [
                "mountOptions",
                "nodeAffinity",
                "volumeAttributesClassName",
                "csi.volumeAttributes",
                "csi.fsType",
            ]
            .map(|field| format!("!has(object.spec.{field})")),
        )
        .chain(
            ["controllerPublish", "nodeStage", "nodePublish", "controllerExpand", "nodeExpand"]
                .map(|of| format!("!has(object.spec.csi.{of}SecretRef)")),
        );
    [holds(
        format!(
            "request.operation != \"CREATE\" || !variables.isMark ||\n\
             (object.spec.?claimRef.?namespace.orValue(\"\") == \"kube-system\" &&\n\
             object.spec.?claimRef.?name.orValue(\"\") == object.metadata.name &&\n\
             !object.spec.?claimRef.?uid.hasValue() &&\n\
             object.spec.?persistentVolumeReclaimPolicy.orValue(\"\") == \"Retain\" &&\n\
             object.spec.?storageClassName.orValue(\"\") == \"\" &&\n\
             object.spec.csi.volumeHandle == object.metadata.name &&\n\
             {}.all(each, each == {}) &&\n{})",
            finalizers("object"),
            literal(PROTECTION),
            absent.collect::<Vec<_>>().join(" &&\n")
        ),
        "makes a mark for no claim that there is",
    )]
}

fn of_others() -> Validation {
    holds(
        "request.operation == \"CREATE\" || variables.isOurs ||\n\
         (request.operation == \"DELETE\" && variables.isMark)",
        "leaves PersistentVolumes of others alone",
    )
}

/// Deletion cannot be undone. It may only begin when a PersistentVolume has no claim any more.
fn not_bound() -> Validation {
    holds(
        "request.operation != \"DELETE\" ||\noldObject.?status.?phase.orValue(\"\") != \"Bound\"",
        "deletes no PersistentVolume that is bound",
    )
}

/// Without the finalizer, a deleted PersistentVolume would leave its volume on the array.
fn lets_go() -> Validation {
    let (after, before) = (finalizers("object"), finalizers("oldObject"));
    let finalizer = literal(FINALIZER);
    holds(
        format!(
            "request.operation != \"UPDATE\" || has(oldObject.metadata.deletionTimestamp) ||\n\
             !({finalizer} in {before}) ||\n{finalizer} in {after}"
        ),
        "takes its finalizer off a PersistentVolume only when that is being deleted",
    )
}

/// The API server itself prevents all changes to a volume's location, except to Secrets of drivers.
fn same_spec() -> Validation {
    let fields = [
        "claimRef",
        "accessModes",
        "csi",
        "nfs",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "mountOptions",
        "nodeAffinity",
        "volumeMode",
        "volumeAttributesClassName",
    ];
    holds(
        format!("request.operation != \"UPDATE\" ||\n({})", unchanged("spec", &fields)),
        "changes nothing of a PersistentVolume but its capacity",
    )
}

fn same_metadata() -> Validation {
    let (after, before) = (finalizers_of_others("object"), finalizers_of_others("oldObject"));
    holds(
        format!(
            "request.operation != \"UPDATE\" ||\n({} &&\n{after} ==\n{before})",
            unchanged("metadata", &["annotations", "labels", "ownerReferences"])
        ),
        "changes nothing of a PersistentVolume's metadata but its own finalizer",
    )
}

/// The provisioner destroys the volume of a PersistentVolume in the phase `Released`, so only Kubernetes may set
/// that phase.
fn status() -> Validation {
    holds(
        "request.operation != \"UPDATE\" ||\n\
         object.?status.?phase == oldObject.?status.?phase ||\n\
         object.?status.?phase.orValue(\"\") == \"Bound\"",
        "sets the phase of a PersistentVolume to Bound only",
    )
}
