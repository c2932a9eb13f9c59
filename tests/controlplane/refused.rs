//! A real API server refuses what `tests/refused/table.rs` says, at the field that it says, and accepts the rest.

use super::*;

#[path = "../refused/table.rs"]
mod table;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane"]
async fn the_api_server_refuses_what_pso_gen_refuses() {
    let (kubeconfig, _control_plane) = if let Some(path) = env::var_os("KUBECONFIG") {
        (PathBuf::from(path), None)
    } else {
        let (path, process) = control_plane(&[]);
        (path, Some(process))
    };
    let client = client(&kubeconfig).await;
    let mut wrong = Vec::new();
    for change in table::changes() {
        let object: kube::api::DynamicObject =
            serde_json::from_value(change.object()).expect("an object");
        let types = object.types.clone().expect("types");
        let (group, version) =
            types.api_version.split_once('/').unwrap_or(("", &types.api_version));
        let plural = match types.kind.as_str() {
            "Ingress" => "ingresses".to_owned(),
            "NetworkPolicy" => "networkpolicies".to_owned(),
            kind => format!("{}s", kind.to_lowercase()),
        };
        let kind = kube::core::GroupVersionKind::gvk(group, version, &types.kind);
        let resource = kube::core::ApiResource::from_gvk_with_plural(&kind, &plural);
        let api: Api<kube::api::DynamicObject> =
            Api::namespaced_with(client.clone(), "default", &resource);
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let answer = api.create(&dry_run, &object).await;
        let fields: Option<Vec<String>> = match answer {
            Ok(_) => None,
            Err(kube::Error::Api(status)) if status.code == 422 => {
                let details = status.details.as_ref();
                let causes = details.into_iter().flat_map(|details| &details.causes);
                Some(causes.map(|cause| cause.field.clone()).collect())
            }
            Err(other) => Some(vec![other.to_string()]),
        };
        let is_right = match (change.field, &fields) {
            (None, None) => true,
            (Some(field), Some(fields)) => fields.iter().any(|found| found == field),
            _ => false,
        };
        if !is_right {
            wrong.push(format!(
                "{} {:?}: expected {:?}, found {fields:?}",
                change.kind, change.set, change.field
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
