//! Checks the finished objects of a tenant's app against a closed list of kinds, fields, labels and annotations.
//! Anything else is refused, including fields that future versions of Kubernetes add.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::compiler::blueprint::App;
use crate::compiler::compile::{OWN_LABELS, SUBSTITUTE};
use crate::compiler::manifest::Object;
use crate::compiler::spec::{TenantRules, Via};
use crate::contract::{annotation, label};
use crate::sanitize::quoted;

/// Annotations that pso-gen itself writes.
const OWN_ANNOTATIONS: [&str; 15] = [
    annotation::SYNC_WAVE,
    annotation::SYNC_OPTIONS,
    "cert-manager.io/cluster-issuer",
    "haproxy.org/timeout-server",
    annotation::JANITOR_EXPIRES,
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-request-buffering",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/proxy-send-timeout",
    annotation::ABOUT,
    annotation::CONFIG,
    annotation::DEFAULT_CONTAINER,
    annotation::EXPIRES,
    annotation::OWNER,
    annotation::SNAPSHOTS,
];
/// Labels that pso-gen and its blueprints write, in addition to those reserved for pso-gen.
const MORE_LABELS: [&str; 2] = [label::VERSION, label::TICKET];

/// Allowed fields of metadata. Owner references, which delete objects, and finalizers, which block deletion, are
/// excluded.
const METADATA: &[&str] = &["name", "namespace", "labels", "annotations"];
/// Allowed fields of pods. Excluded are a node's name, which bypasses the scheduler and all taints, the node's
/// namespaces, and other runtimes, schedulers and devices.
const POD: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostname",
    "imagePullSecrets",
    "initContainers",
    "nodeSelector",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "securityContext",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];
/// Allowed sources of volumes: objects of the namespace. Excluded are paths of the node, exports of an array, and
/// inline volumes of drivers.
const VOLUME: &[&str] = &[
    "name",
    "configMap",
    "downwardAPI",
    "emptyDir",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// Allowed sources of a projected volume. Account tokens are excluded.
const PROJECTED: &[&str] = &["configMap", "downwardAPI", "secret"];
/// Allowed fields of a claim. Excluded are naming or selecting a PersistentVolume, and data of another namespace.
const CLAIM: &[&str] =
    &["accessModes", "dataSource", "resources", "storageClassName", "volumeMode"];
/// Allowed fields of a Service. External addresses are excluded.
const SERVICE: &[&str] = &[
    "clusterIP",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "ports",
    "publishNotReadyAddresses",
    "selector",
    "sessionAffinity",
    "sessionAffinityConfig",
    "type",
];
/// Allowed fields of an Ingress. The default backend, which receives all other requests, is excluded.
const INGRESS: &[&str] = &["ingressClassName", "rules", "tls"];
/// Allowed fields of a route's rule. Filters, which may redirect traffic, are excluded.
const ROUTE_RULE: &[&str] = &["backendRefs", "matches", "timeouts"];
/// Allowed fields of a StatefulSet. Claim templates are excluded: claims are separate objects.
const STATEFUL_SET: &[&str] = &[
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "podManagementPolicy",
    "replicas",
    "revisionHistoryLimit",
    "selector",
    "serviceName",
    "template",
    "updateStrategy",
];

/// Returns the name of a kind in the rules: `ConfigMap`, `cert-manager.io/Certificate`.
pub(super) fn kind(version: &str, kind: &str) -> String {
    match version.split_once('/') {
        Some((group, _)) => format!("{group}/{kind}"),
        None => kind.to_owned(),
    }
}

/// Returns the violations in the objects of a tenant's app.
pub(super) fn violations(app: &App, objects: &[Object], rules: &TenantRules) -> Vec<String> {
    let all = All {
        app,
        rules,
        accounts: names(objects, |object| matches!(object, Object::ServiceAccount(_))),
        roles: names(objects, |object| matches!(object, Object::Role(_))),
        secrets: names(objects, |object| matches!(object, Object::Secret(_))),
    };
    // The same violation often occurs in many objects.
    let mut violations: IndexMap<String, Vec<&Object>> = IndexMap::new();
    for object in objects {
        let reasons = match object.to_json() {
            Ok(json) => all.object(object, &json),
            Err(error) => vec![error.to_string()],
        };
        let reasons: BTreeSet<String> = reasons.into_iter().collect();
        for reason in reasons {
            violations.entry(reason).or_default().push(object);
        }
    }
    let message = |(reason, objects): (String, Vec<&Object>)| {
        let mut text = String::new();
        objects[0].describe(&mut text);
        match objects.len() {
            1 => {}
            2 => text.push_str(" and 1 more object"),
            more => text.push_str(&format!(" and {} more objects", more - 1)),
        }
        format!("{text}: {reason}")
    };
    violations.into_iter().map(message).collect()
}

fn names(objects: &[Object], is: impl Fn(&Object) -> bool) -> BTreeSet<&str> {
    objects.iter().filter(|object| is(object)).map(Object::name).collect()
}

/// Objects that the objects of one app may refer to.
struct All<'a> {
    app: &'a App,
    rules: &'a TenantRules,
    accounts: BTreeSet<&'a str>,
    roles: BTreeSet<&'a str>,
    secrets: BTreeSet<&'a str>,
}

impl All<'_> {
    fn object(&self, object: &Object, json: &Json) -> Vec<String> {
        let mut violations = Vec::new();
        if object.metadata().namespace != self.app.namespace || !object.is_namespaced() {
            violations.push("it is not in the tenant's namespace".to_owned());
        }
        only(&json["metadata"], METADATA, "metadata", &mut violations);
        self.keys(&json["metadata"], &mut violations);
        let spec = &json["spec"];
        match object {
            Object::ConfigMap(_)
            | Object::HorizontalPodAutoscaler(_)
            | Object::NetworkPolicy(_)
            | Object::PodDisruptionBudget(_) => {}
            Object::ServiceAccount(_) => {
                if json["automountServiceAccountToken"] != Json::Bool(false) {
                    violations.push("its token is mounted into pods".to_owned());
                }
            }
            Object::Secret(_) => secret(json, &mut violations),
            Object::PersistentVolumeClaim(_) => only(spec, CLAIM, "spec", &mut violations),
            Object::Service(_) => self.service(spec, &mut violations),
            Object::Ingress(_) => self.ingress(spec, &mut violations),
            Object::HttpRoute(_) => self.route(spec, &mut violations),
            Object::Role(_) => self.role(json, &mut violations),
            Object::RoleBinding(_) => self.binding(json, &mut violations),
            Object::Deployment(_) | Object::Job(_) => self.pods(&spec["template"], &mut violations),
            Object::StatefulSet(_) => {
                only(spec, STATEFUL_SET, "spec", &mut violations);
                self.pods(&spec["template"], &mut violations);
            }
            Object::CronJob(_) => {
                let template = &spec["jobTemplate"];
                self.keys(&template["metadata"], &mut violations);
                self.pods(&template["spec"]["template"], &mut violations);
            }
            other => {
                let (version, word) = other.type_meta();
                let kind = kind(version, word);
                // Pods are checked through the objects that create them.
                let makes_pods = matches!(other, Object::Pod(_)) || other.pod_template().is_some();
                if !self.rules.manifests.contains(&kind) || makes_pods {
                    violations.push(format!("tenants' apps may not render the kind `{kind}`"));
                }
            }
        }
        violations
    }

    /// Checks labels and annotations: those of pso-gen, and those of the rules.
    fn keys(&self, metadata: &Json, violations: &mut Vec<String>) {
        let keys = |field: &str| {
            metadata[field].as_object().into_iter().flat_map(|fields| fields.keys().cloned())
        };
        for key in keys("labels") {
            let ours = OWN_LABELS.contains(&key.as_str()) || MORE_LABELS.contains(&key.as_str());
            if !ours && !self.rules.allows_label(&key) {
                violations.push(format!("tenants may not set the label `{key}`"));
            }
        }
        for key in keys("annotations") {
            // With another value, Flux would substitute the cluster's variables in a tenant's objects.
            let left_alone = key == SUBSTITUTE.0 && metadata["annotations"][&key] == SUBSTITUTE.1;
            let ours = OWN_ANNOTATIONS.contains(&key.as_str()) || left_alone;
            if !ours && !self.rules.allows_annotation(&key) {
                violations.push(format!("tenants may not set the annotation `{key}`"));
            }
        }
    }

    fn pods(&self, template: &Json, violations: &mut Vec<String>) {
        only(&template["metadata"], METADATA, "its pods' metadata", violations);
        self.keys(&template["metadata"], violations);
        let spec = &template["spec"];
        only(spec, POD, "its pods", violations);
        for volume in items(&spec["volumes"]) {
            only(volume, VOLUME, "its pods' volumes", violations);
            for source in items(&volume["projected"]["sources"]) {
                only(source, PROJECTED, "its pods' projected volumes", violations);
            }
        }
        let account = spec["serviceAccountName"].as_str().unwrap_or_default();
        if !self.accounts.contains(account) {
            violations.push(format!(
                "its pods run as the account {account}, which the app does not render",
                account = quoted(account)
            ));
        }
        if spec["automountServiceAccountToken"] != Json::Bool(false) && account == self.app.name {
            violations.push("its pods get a token of the cluster's API".to_owned());
        }
        if let Some(class) = spec["priorityClassName"].as_str()
            && !self.rules.priority_classes.iter().any(|allowed| allowed == class)
        {
            violations.push(format!("tenants may not use the PriorityClass `{class}`"));
        }
        for toleration in items(&spec["tolerations"]) {
            let key = toleration["key"].as_str().unwrap_or_default();
            if !self.rules.tolerations.iter().any(|allowed| allowed == key) {
                violations.push(format!("its pods tolerate the taint {key}", key = quoted(key)));
            }
        }
        let containers = items(&spec["initContainers"]).chain(items(&spec["containers"]));
        let images: BTreeSet<&str> =
            containers.map(|container| container["image"].as_str().unwrap_or_default()).collect();
        for image in images.into_iter().filter(|image| !self.rules.allows_image(image)) {
            violations.push(format!("tenants may not run the image `{image}`"));
        }
    }

    fn service(&self, spec: &Json, violations: &mut Vec<String>) {
        only(spec, SERVICE, "spec", violations);
        let node_port = self.rules.expose.contains(&Via::NodePort);
        match spec["type"].as_str() {
            None | Some("ClusterIP") => {}
            Some("NodePort") if node_port => {}
            Some(other) => {
                violations.push(format!("tenants may not use the Service type `{other}`"));
            }
        }
        if !node_port && items(&spec["ports"]).any(|port| !port["nodePort"].is_null()) {
            violations.push("it uses a port of the nodes".to_owned());
        }
        if spec["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
            violations
                .push("it has no selector, so its addresses may be outside the app".to_owned());
        }
    }

    fn host(&self, host: &Json, violations: &mut Vec<String>) {
        let host = host.as_str().unwrap_or_default();
        let namespace = self.app.namespace.as_deref().unwrap_or_default();
        if host.is_empty() {
            violations.push("it accepts requests for every host name".to_owned());
        } else if !self.rules.allows_host(host, namespace) {
            violations.push(format!("`{host}` is not a host name of this tenant"));
        }
    }

    fn ingress(&self, spec: &Json, violations: &mut Vec<String>) {
        only(spec, INGRESS, "spec", violations);
        for rule in items(&spec["rules"]) {
            self.host(&rule["host"], violations);
            for path in items(&rule["http"]["paths"]) {
                only(&path["backend"], &["service"], "its backends", violations);
            }
        }
        for tls in items(&spec["tls"]) {
            for host in items(&tls["hosts"]) {
                self.host(host, violations);
            }
        }
        self.check_route(Via::Ingress, violations);
    }

    fn route(&self, spec: &Json, violations: &mut Vec<String>) {
        let mut hosts = items(&spec["hostnames"]).peekable();
        if hosts.peek().is_none() {
            violations.push("it accepts requests for every host name".to_owned());
        }
        hosts.for_each(|host| self.host(host, violations));
        for parent in items(&spec["parentRefs"]) {
            if parent["kind"].as_str().is_some_and(|kind| kind != "Gateway") {
                violations.push("it attaches to an object that is not a Gateway".to_owned());
            }
        }
        for rule in items(&spec["rules"]) {
            only(rule, ROUTE_RULE, "its rules", violations);
            for backend in items(&rule["backendRefs"]) {
                if backend["kind"].as_str().is_some_and(|kind| kind != "Service") {
                    violations
                        .push("it sends traffic to an object that is not a Service".to_owned());
                }
            }
        }
        self.check_route(Via::Gateway, violations);
    }

    fn check_route(&self, via: Via, violations: &mut Vec<String>) {
        if !self.rules.expose.contains(&via) {
            violations.push(format!("`via: {}` is not allowed for tenants' apps", via.word()));
        }
    }

    /// Checks the only right that an app may grant: to fill its own Secrets.
    fn role(&self, json: &Json, violations: &mut Vec<String>) {
        let words = |json: &Json| -> Vec<String> {
            items(json).filter_map(Json::as_str).map(str::to_owned).collect()
        };
        let fills = |rule: &Json| {
            let names = words(&rule["resourceNames"]);
            words(&rule["apiGroups"]) == [""]
                && words(&rule["resources"]) == ["secrets"]
                && words(&rule["verbs"]).iter().all(|verb| matches!(verb.as_str(), "get" | "patch"))
                && !names.is_empty()
                && names.iter().all(|name| self.secrets.contains(name.as_str()))
                && rule["nonResourceURLs"].is_null()
        };
        if !items(&json["rules"]).all(fills) {
            violations.push("it grants rights other than to fill the app's own Secrets".to_owned());
        }
    }

    fn binding(&self, json: &Json, violations: &mut Vec<String>) {
        let role = &json["roleRef"];
        let is_own = role["kind"] == "Role"
            && role["name"].as_str().is_some_and(|name| self.roles.contains(name));
        if !is_own {
            violations.push("it grants a role that is not the app's own".to_owned());
        }
        let own = |subject: &Json| {
            subject["kind"] == "ServiceAccount"
                && subject["namespace"].as_str() == self.app.namespace.as_deref()
                && subject["name"].as_str().is_some_and(|name| self.accounts.contains(name))
        };
        if !items(&json["subjects"]).all(own) {
            violations.push("it grants rights to accounts other than the app's own".to_owned());
        }
    }
}

/// Checks Secrets. They are filled in the cluster; a Secret with data, or of a special type, is refused.
fn secret(json: &Json, violations: &mut Vec<String>) {
    if json["type"].as_str().is_some_and(|word| word != "Opaque") {
        violations.push("it has a type with a special meaning in the cluster".to_owned());
    }
    if !json["data"].is_null() || !json["stringData"].is_null() {
        violations.push("it has data, which comes from a file".to_owned());
    }
}

fn items(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

/// Reports the fields that are not on a list.
fn only(json: &Json, allowed: &[&str], what: &str, violations: &mut Vec<String>) {
    let fields = json.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    for (field, _) in fields.filter(|(field, _)| !allowed.contains(&field.as_str())) {
        violations.push(format!("{what}: tenants may not set `{field}`"));
    }
}
