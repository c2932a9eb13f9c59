//! Rules that the platform sets for the apps of its tenants.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Profile, Via};

/// Rules that the platform sets for the apps of its tenants. The defaults allow the objects that an app needs: objects in its
/// own namespace, under the Pod Security profile `baseline`, reached through Ingress or Gateway.
///
/// Set the rules where tenants cannot change them: in the variable `PSO_GEN_TENANT_RULES` of Argo CD's sidecar,
/// or in a file (`--tenant-rules`) in a pipeline. Tenants can never create Storage documents, Namespaces or other
/// cluster-scoped objects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TenantRules {
    /// Weakest Pod Security profile that an app may need.
    /// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
    #[schemars(extend("default" = "baseline"))]
    pub profile: Profile,
    /// AppProjects of Argo CD whose Applications belong to the platform, such as that of the storage document.
    /// These rules do not apply to them.
    #[schemars(example = ["storage"])]
    pub platform_projects: Vec<String>,
    /// Values of `spec.expose.via` that an app may use.
    #[schemars(extend("default" = ["ingress", "gateway", "none"]))]
    pub expose: Vec<Via>,
    /// Host names that an app may claim, such as `*.example.com`; `{namespace}` stands for the app's namespace.
    /// If omitted, any host name.
    #[schemars(example = ["*.{namespace}.example.com"])]
    pub hosts: Vec<String>,
    /// Prefixes of the image names that pods may run, such as `registry.example.com/`. If omitted, any image.
    #[schemars(example = ["registry.example.com/", "docker.io/library/"])]
    pub images: Vec<String>,
    /// Keys of labels with a prefix (`example.com/team`, `example.com/*`) that an app may set. Labels without a
    /// prefix are always allowed.
    pub labels: Vec<String>,
    /// Keys of annotations that an app may set; `example.com/*` allows a whole prefix. Annotations configure
    /// controllers: with `nginx.ingress.kubernetes.io/*` a tenant may write configuration into a controller that
    /// all tenants share.
    pub annotations: Vec<String>,
    /// Keys of taints that pods may tolerate.
    pub tolerations: Vec<String>,
    /// PriorityClasses that pods may have.
    pub priority_classes: Vec<String>,
    /// Whether `spec.patches` may change the rendered objects. The patched objects must meet the other rules.
    pub patches: bool,
    /// Whether blueprints in the tenants' repository are read. The objects that they render must meet the other
    /// rules.
    pub blueprints: bool,
    /// Kinds that blueprints of tenants may contain as `manifests`, such as `cert-manager.io/Certificate`, or
    /// `ConfigMap` for a kind without an API group. Only namespaced kinds are allowed.
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

/// The tenant rules of a run.
#[derive(Debug, Clone, Default)]
pub struct Tenancy {
    /// The rules. An app must meet all of them. Without rules, the apps belong to the platform.
    pub rules: Vec<TenantRules>,
    /// The only namespace that apps may use; empty for none. If unknown, each app may use its own.
    pub namespace: Option<String>,
}

impl TenantRules {
    /// Returns whether an app may set a label.
    pub fn allows_label(&self, key: &str) -> bool {
        !key.contains('/') || listed(&self.labels, key)
    }

    /// Returns whether an app may set an annotation.
    pub fn allows_annotation(&self, key: &str) -> bool {
        listed(&self.annotations, key)
    }

    /// Returns whether an app in a namespace may claim a host name.
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

    /// Returns whether a pod may run an image.
    pub fn allows_image(&self, image: &str) -> bool {
        // A prefix must end at a boundary, so that no longer name matches it.
        let ends = |start: &str, rest: &str| {
            start.ends_with('/') || rest.is_empty() || rest.starts_with(['/', ':', '@'])
        };
        let fits = |start: &String| {
            image.strip_prefix(start.as_str()).is_some_and(|rest| ends(start, rest))
        };
        self.images.is_empty() || self.images.iter().any(fits)
    }
}

/// Returns whether a list of keys and `prefix/*` patterns contains a key.
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
