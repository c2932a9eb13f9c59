//! What the platform lets the apps of tenants do.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Profile, Via};

/// What the platform lets the apps of tenants do. With nothing written it is as little as an app needs:
/// objects in its own namespace, under the Pod Security profile `baseline`, reached through Ingress or Gateway.
///
/// The platform sets the rules where tenants cannot change them: as the variable `PSO_GEN_TENANT_RULES` of Argo
/// CD's sidecar, or as a file (`--tenant-rules`) in a pipeline. Storage documents, Namespaces and other objects of
/// the whole cluster are never a tenant's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TenantRules {
    /// Weakest Pod Security profile that an app may need.
    /// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
    #[schemars(extend("default" = "baseline"))]
    pub profile: Profile,
    /// AppProjects of Argo CD whose Applications are the platform's own, such as that of the storage document:
    /// these rules do not hold for them.
    #[schemars(example = ["storage"])]
    pub platform_projects: Vec<String>,
    /// Ways in that an app may have.
    #[schemars(extend("default" = ["ingress", "gateway", "none"]))]
    pub expose: Vec<Via>,
    /// Host names that an app may claim, such as `*.example.com`; `{namespace}` stands for the app's
    /// namespace. When left out, any.
    #[schemars(example = ["*.{namespace}.example.com"])]
    pub hosts: Vec<String>,
    /// How the names of images begin that pods may run, such as `registry.example.com/`. When left out, any
    /// image.
    #[schemars(example = ["registry.example.com/", "docker.io/library/"])]
    pub images: Vec<String>,
    /// Keys of labels with a prefix (`example.com/team`, `example.com/*`) that an app may set; those without a
    /// prefix it may set in any case.
    pub labels: Vec<String>,
    /// Keys of annotations that an app may set, `example.com/*` for all of a prefix. Annotations steer
    /// controllers: with `nginx.ingress.kubernetes.io/*` a tenant may write configuration of a controller
    /// that everybody shares.
    pub annotations: Vec<String>,
    /// Keys of taints that pods may bear.
    pub tolerations: Vec<String>,
    /// PriorityClasses that pods may have.
    pub priority_classes: Vec<String>,
    /// Whether `spec.patches` may change the finished objects. What comes out is held to the other rules.
    pub patches: bool,
    /// Whether blueprints in the tenants' repository are read. What they make is held to the other rules.
    pub blueprints: bool,
    /// Kinds that blueprints of tenants may make as they are (`manifests`), such as
    /// `cert-manager.io/Certificate`, or `ConfigMap` for one without an API group. They must live in a
    /// namespace.
    #[schemars(example = ["cert-manager.io/Certificate"])]
    pub manifests: Vec<String>,
}

impl Default for TenantRules {
    fn default() -> Self {
        Self {
            profile: Profile::Baseline,
            platform_projects: Vec::new(),
            expose: vec![Via::Ingress, Via::Gateway, Via::None],
            hosts: Vec::new(),
            images: Vec::new(),
            labels: Vec::new(),
            annotations: Vec::new(),
            tolerations: Vec::new(),
            priority_classes: Vec::new(),
            patches: false,
            blueprints: false,
            manifests: Vec::new(),
        }
    }
}

/// The rules that hold in a run, and for whom.
#[derive(Debug, Clone, Default)]
pub struct Tenancy {
    /// The rules. All of them hold; with none, the apps are no tenant's.
    pub rules: Vec<TenantRules>,
    /// The one namespace that apps may have; empty for none. When it is not known, each app's own.
    pub namespace: Option<String>,
}

impl TenantRules {
    /// Whether an app may set a label.
    pub fn allows_label(&self, key: &str) -> bool {
        !key.contains('/') || listed(&self.labels, key)
    }

    /// Whether an app may set an annotation.
    pub fn allows_annotation(&self, key: &str) -> bool {
        listed(&self.annotations, key)
    }

    /// Whether an app in a namespace may claim a host name.
    pub fn allows_host(&self, host: &str, namespace: &str) -> bool {
        let fits = |pattern: &String| {
            let pattern = pattern.replace("{namespace}", namespace);
            match pattern.strip_prefix('*') {
                Some(end) => host.strip_suffix(end).is_some_and(|name| !name.is_empty()),
                None => host == pattern,
            }
        };
        self.hosts.is_empty() || self.hosts.iter().any(fits)
    }

    /// Whether a pod may run an image.
    pub fn allows_image(&self, image: &str) -> bool {
        // The end of a name, so that no longer one passes for it.
        let ends = |start: &str, rest: &str| {
            start.ends_with('/') || rest.is_empty() || rest.starts_with(['/', ':', '@'])
        };
        let fits = |start: &String| {
            image.strip_prefix(start.as_str()).is_some_and(|rest| ends(start, rest))
        };
        self.images.is_empty() || self.images.iter().any(fits)
    }
}

/// Whether a key is in a list of keys and `prefix/*`.
fn listed(list: &[String], key: &str) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => entry == key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(hosts: &[&str]) -> TenantRules {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        TenantRules {
            hosts: words(hosts),
            labels: words(&["a.example/*", "b.example/c"]),
            ..TenantRules::default()
        }
    }

    #[test]
    fn a_host_is_the_namespaces_own() {
        let own = rules(&["*.{namespace}.example.com", "{namespace}.example.com"]);
        assert!(own.allows_host("a.team.example.com", "team"));
        assert!(own.allows_host("team.example.com", "team"));
        for host in ["a.other.example.com", ".team.example.com", "ateam.example.com", "example.com"]
        {
            assert!(!own.allows_host(host, "team"), "{host}");
        }
        assert!(rules(&[]).allows_host("any.example.org", "team"));
    }

    #[test]
    fn an_image_is_known_by_whole_names() {
        let images =
            ["registry.example.com", "docker.io/library/", "ghcr.io/a/b"].map(str::to_owned);
        let rules = TenantRules { images: images.to_vec(), ..TenantRules::default() };
        for image in ["registry.example.com/a:1", "docker.io/library/b@sha256:0", "ghcr.io/a/b:2"] {
            assert!(rules.allows_image(image), "{image}");
        }
        for image in ["registry.example.com.evil.example/a", "ghcr.io/a/bad:1", "b:1", ""] {
            assert!(!rules.allows_image(image), "{image}");
        }
    }

    #[test]
    fn keys_are_allowed_by_name_or_prefix() {
        let rules = rules(&[]);
        for key in ["team", "a.example/x", "b.example/c"] {
            assert!(rules.allows_label(key), "{key}");
        }
        for key in ["b.example/d", "x.a.example/x", "pod-security.kubernetes.io/enforce"] {
            assert!(!rules.allows_label(key), "{key}");
        }
        assert!(!rules.allows_annotation("team"));
    }
}
