//! Rules for network storage that pods may mount without a claim, and that other accounts may create
//! PersistentVolumes for. Arrays identify clients by the node's address, so a pod that names a server itself
//! could mount the volume of any claim.
//!
//! The names and addresses of an array cannot be listed completely, because every owner of a domain can add one.
//! So the policies list the allowed servers.

mod pod;

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{MatchCondition, Validation, Variable};

use super::{
    OTHERS, Rules, annotations, by_others, condition, finalizers, literal, records, refuses_unless,
    requests, variable,
};
pub(crate) use pod::refused as refused_volumes;

use crate::compiler::compile::platform::Platform;
use crate::contract::annotation;
use crate::contract::host_and_port;
use crate::contract::{DRIVER, FINALIZER, PROVISIONER};

/// Sources of volumes that name network storage.
const SOURCES: [&str; 5] = ["nfs", "iscsi", "fc", "flexVolume", "csi"];
/// CSI drivers that mount network storage named in their attributes: the driver of pso-gen, the NFS driver of the
/// Kubernetes project, and drivers for arrays of this kind.
const DRIVERS: [&str; 6] = [
    DRIVER,
    "nfs.csi.k8s.io",
    "org.democratic-csi.node-manual",
    "pure-csi",
    "pxd.portworx.com",
    "smb.csi.k8s.io",
];
/// Attributes by which other drivers name a server. Their notation and case differ.
const ATTRIBUTES: [&str; 9] = [
    "iqn",
    "nfsserver",
    "portal",
    "portals",
    "server",
    "servers",
    "share",
    "source",
    "targetportal",
];

const POD_FIX: &str = "use a PersistentVolumeClaim, or ask the platform admin to list it in the storage document, \
     under provisioner.foreign";
const VOLUME_FIX: &str = "list it in the storage document, under provisioner.foreign, or allow the account to create \
     persistentvolumes of the API group pso-gen.io";

/// Returns the rules for pods, whichever account creates them: kube-controller-manager creates most of them, on
/// behalf of accounts that can write workloads. Volumes of a pod never change.
pub(super) fn pods(platform: &Platform<'_>) -> Rules {
    let kinds = SOURCES.map(|kind| format!("has(each.{kind})"));
    let volumes = "object.spec.?volumes.orValue([])";
    let of_each = |rule: &str| format!("variables.volumes.all(each, {rule})");
    let attributes = format!(
        "each.csi.?volumeAttributes.orValue({{}}).exists(key, key.lowerAscii() in {})",
        literal(ATTRIBUTES.to_vec())
    );
    Rules {
        name: format!("{OTHERS}-pods"),
        requests: vec![requests("pods", &["CREATE"])],
        conditions: vec![condition(
            "with-storage-on-the-network",
            format!("{volumes}.exists(each, {})", kinds.join(" || ")),
        )],
        variables: lists(platform).into_iter().chain([variable("volumes", volumes)]).collect(),
        validations: sources("each", &of_each, POD_FIX)
            .into_iter()
            .chain([refuses_unless(
                of_each(&format!(
                    "!has(each.csi) || each.csi.driver in variables.drivers ||\n\
                     (!(each.csi.driver in {}) &&\n!{attributes})",
                    literal(DRIVERS.to_vec())
                )),
                format!("the CSI driver is not allowed in a pod: {POD_FIX}"),
            )])
            .collect(),
    }
}

/// Returns the rules for PersistentVolumes of other accounts. An account that can create them can become root on
/// every node in other ways. The rules prevent that provisioners of other storage, or restored backups, interfere
/// with pso-gen.
pub(super) fn volumes(platform: &Platform<'_>) -> Rules {
    let it = |rule: &str| format!("request.operation != \"CREATE\" || {rule}");
    let attributes = "object.spec.csi.?volumeAttributes.orValue({})";
    let arrays = platform.storage.spec.arrays.iter();
    let hosts = arrays.flat_map(|array| std::iter::once(&array.management).chain(&array.data));
    let hosts: BTreeSet<&str> = hosts.map(|host| host_and_port(host).0).collect();
    let record = records::is_record("key");
    let after = annotations("object");
    let said = format!(
        "{after}[?{}].orValue(\"\") == {}",
        literal(annotation::PROVISIONED_BY),
        literal(PROVISIONER)
    );
    let finalizer = format!("{} in {}", literal(FINALIZER), finalizers("object"));
    let before = |of: String, none: &str| {
        format!("oldObject == null ? {none} : {}", of.replace("object.", "oldObject."))
    };
    let validations = sources("object.spec", &it, VOLUME_FIX);
    let ours = [
        refuses_unless(
            it(&format!("!has(object.spec.csi) || object.spec.csi.driver != {}", literal(DRIVER))),
            format!(
                "only the pso-gen provisioner creates PersistentVolumes of the driver {DRIVER}"
            ),
        ),
        refuses_unless(
            it(&format!(
                "!has(object.spec.csi) || object.spec.csi.driver in variables.drivers ||\n\
                 !(object.spec.csi.driver in {}) ||\n\
                 {attributes}.all(key, !(key.lowerAscii() in {}) ||\n\
                 {attributes}[key] in variables.servers)",
                literal(DRIVERS.to_vec()),
                literal(["server", "nfsserver", "portal", "portals", "targetportal"].to_vec()),
            )),
            format!("the server of the CSI driver is not allowed: {VOLUME_FIX}"),
        ),
        refuses_unless(
            it(&format!(
                "!has(object.spec.csi) ||\n\
                 {attributes}.all(key, !variables.ours.exists(host, {attributes}[key] == host ||\n\
                 {attributes}[key].startsWith(host + \":\") || {attributes}[key].startsWith(host + \"/\") ||\n\
                 {attributes}[key].contains(\"//\" + host)))"
            )),
            "the CSI driver mounts from an array of the storage document: allow the account to create persistentvolumes of \
             the API group pso-gen.io if it may do so",
        ),
        refuses_unless(
            format!("!({said}) || variables.saidBefore"),
            format!(
                "{}: {PROVISIONER} is reserved for the pso-gen provisioner",
                annotation::PROVISIONED_BY
            ),
        ),
        refuses_unless(
            format!("!({finalizer}) || variables.finalizerBefore"),
            format!("the finalizer {FINALIZER} is reserved for the pso-gen provisioner"),
        ),
        refuses_unless(
            format!(
                "{after}.all(key, !{record} || (key in variables.annotationsBefore &&\n\
                 variables.annotationsBefore[key] == {after}[key]))"
            ),
            records::RESERVED,
        ),
    ];
    let mut variables = lists(platform);
    variables.extend([
        variable("ours", literal(hosts.into_iter().collect::<Vec<_>>())),
        variable("annotationsBefore", before(after.clone(), "{}")),
        variable("saidBefore", before(said.clone(), "false")),
        variable("finalizerBefore", before(finalizer.clone(), "false")),
    ]);
    let kinds = SOURCES.map(|kind| format!("has(object.spec.{kind})")).join(" || ");
    let differ = [(&annotations as &dyn Fn(&str) -> String), &finalizers]
        .map(|of| format!("{} != {}", of("object"), of("oldObject")));
    let concerns = format!(
        "request.operation == \"CREATE\" ?\n\
         ({kinds} || {said} ||\n{finalizer} || {after}.exists(key, {record})) :\n({})",
        differ.join(" ||\n"),
    );
    Rules {
        name: format!("{OTHERS}-persistentvolumes"),
        requests: vec![
            requests("persistentvolumes", &["CREATE", "UPDATE"]),
            requests("persistentvolumes/status", &["UPDATE"]),
        ],
        conditions: vec![
            by_others(platform),
            condition("with-storage-on-the-network-or-a-record", concerns),
            by_no_admin(),
        ],
        variables,
        validations: validations.into_iter().chain(ours).collect(),
    }
}

/// Matches requests of accounts without a right that only a platform's admin has: `*` includes it, and other
/// programs that create such PersistentVolumes get it by a separate role. The resource itself does not exist.
fn by_no_admin() -> MatchCondition {
    condition(
        "not-an-admin",
        "!authorizer.group(\"pso-gen.io\").resource(\"persistentvolumes\").check(\"create\").allowed()",
    )
}

fn lists(platform: &Platform<'_>) -> Vec<Variable> {
    let foreign = &platform.own.foreign;
    let list = |words: &[String]| literal(words.to_vec());
    vec![variable("servers", list(&foreign.servers)), variable("drivers", list(&foreign.drivers))]
}

/// Returns the rules for servers in volume sources that Kubernetes itself mounts. `each` is the object that has
/// the source, and `within` applies a rule to all such objects.
fn sources(each: &str, within: &dyn Fn(&str) -> String, fix: &str) -> Vec<Validation> {
    let rule = |expression: String, what: &str| {
        refuses_unless(within(&expression), format!("the {what} is not allowed: {fix}"))
    };
    vec![
        rule(format!("!has({each}.nfs) || {each}.nfs.server in variables.servers"), "NFS server"),
        rule(
            format!(
                "!has({each}.iscsi) || ({each}.iscsi.targetPortal in variables.servers &&\n\
                 {each}.iscsi.?portals.orValue([]).all(portal, portal in variables.servers))"
            ),
            "iSCSI portal",
        ),
        rule(
            format!(
                "!has({each}.fc) ||\n\
                 ({each}.fc.?targetWWNs.orValue([]) + {each}.fc.?wwids.orValue([])).all(name, name in variables.servers)"
            ),
            "Fibre Channel target",
        ),
        rule(
            format!("!has({each}.flexVolume) || {each}.flexVolume.driver in variables.drivers"),
            "FlexVolume driver",
        ),
    ]
}
