//! Rules for VolumeAttachments of the driver. A role cannot limit an account to the objects of one node or to one
//! annotation, and the record of formatting decides whether a volume may be formatted.

use k8s_openapi::api::admissionregistration::v1::{NamedRuleWithOperations, Variable};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    OTHERS, Rules, annotations, condition, finalizers, literal, policy, refuses_unless,
    requests_in, unchanged, variable,
};
use crate::compiler::manifest::Object;
use crate::contract::{DRIVER, annotation};

/// The API server's record of the node to whose pod a token is bound.
/// <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#additional-metadata-in-pod-bound-tokens>
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// The writable resources: objects and their status.
const RESOURCES: [&str; 2] = ["volumeattachments", "volumeattachments/status"];

/// Returns the policies with their bindings. `account` is the user name of the node service, `name` its name, and
/// `metadata` returns the metadata of an object with a name.
pub(in super::super) fn policies(
    name: &str,
    account: &str,
    metadata: &dyn Fn(&str) -> ObjectMeta,
) -> Vec<Object> {
    let rules = [of_the_node_service(name, account), of_others(account)];
    rules.into_iter().flat_map(|rules| policy(metadata(&rules.name), rules)).collect()
}

/// The node service writes its record on VolumeAttachments of its own node, and changes nothing else.
fn of_the_node_service(name: &str, account: &str) -> Rules {
    let holds = |expression: String, message: &str| {
        refuses_unless(expression, format!("the pso-gen node service {message}"))
    };
    let formatted = literal(annotation::FORMATTED);
    let validations = vec![
        holds(
            "request.operation == \"UPDATE\" && request.?subResource.orValue(\"\") == \"\""
                .to_owned(),
            "only changes the metadata of VolumeAttachments",
        ),
        holds(
            format!("object.spec.attacher == {}", literal(DRIVER)),
            "only writes to VolumeAttachments of its own driver",
        ),
        holds(
            "variables.node != \"\" && object.spec.nodeName == variables.node".to_owned(),
            "only writes to VolumeAttachments of the node that its token is bound to",
        ),
        holds(
            format!(
                "variables.after.all(key, key == {formatted} ||\n\
                 (key in variables.before && variables.before[key] == variables.after[key])) &&\n\
                 variables.before.all(key, key in variables.after)"
            ),
            "changes no annotation except its record of formatting",
        ),
        holds(
            format!("variables.after[?{formatted}].orValue(\"true\") == \"true\""),
            "records only that a volume was formatted",
        ),
        holds(
            format!(
                "oldObject == null ||\n({} &&\n{} ==\n{} &&\n{})",
                unchanged("metadata", &["labels", "ownerReferences"]),
                finalizers("object"),
                finalizers("oldObject"),
                unchanged("spec", &["attacher", "nodeName", "source"]),
            ),
            "changes no labels, owners, finalizers or fields",
        ),
    ];
    Rules {
        name: format!("{name}-volumeattachments"),
        requests: writes(),
        conditions: vec![condition(
            "the-node-service",
            format!("request.userInfo.username == {}", literal(account)),
        )],
        variables: vec![
            variable(
                "node",
                format!("request.userInfo.?extra[?{}][?0].orValue(\"\")", literal(NODE_NAME)),
            ),
            before(),
            after(),
        ],
        validations,
    }
}

/// Every other account, the provisioner and admins included, leaves the record as it is.
fn of_others(account: &str) -> Rules {
    let formatted = literal(annotation::FORMATTED);
    Rules {
        name: format!("{OTHERS}-volumeattachments"),
        requests: writes(),
        conditions: vec![
            condition(
                "not-the-node-service",
                format!("request.userInfo.username != {}", literal(account)),
            ),
            condition("of-the-driver", format!("object.spec.attacher == {}", literal(DRIVER))),
        ],
        variables: vec![before(), after()],
        validations: vec![refuses_unless(
            format!("variables.before[?{formatted}] == variables.after[?{formatted}]"),
            format!(
                "the annotation {} of a VolumeAttachment is reserved for the pso-gen node service: leave it unchanged",
                annotation::FORMATTED
            ),
        )],
    }
}

fn writes() -> Vec<NamedRuleWithOperations> {
    let writes = |resource| requests_in("storage.k8s.io", resource, &["CREATE", "UPDATE"]);
    RESOURCES.map(writes).to_vec()
}

fn before() -> Variable {
    variable("before", format!("oldObject == null ? {{}} : {}", annotations("oldObject")))
}

fn after() -> Variable {
    variable("after", annotations("object"))
}
