//! The stable names of all diagnostics, each with a paragraph for the reference page.

/// Severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is rendered.
    Error,
    /// The output is rendered, and the developer should look at the warning.
    Warning,
}

impl Severity {
    /// Returns the word used in every rendering.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($severity:ident $variant:ident $name:literal $about:literal)*) => {
        /// Stable name of a rule. Users filter by it, so a name is never given another meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $about] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the reference page.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the name that is printed, such as `unknown-field`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns a paragraph that describes the rule and how to comply with it.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }

            /// Returns the severity of the rule.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    Error NotUtf8 "not-utf8"
        "The file is not UTF-8 text. The place is the first invalid byte. Save the file as UTF-8."
    Error YamlSyntax "yaml-syntax"
        "The file is not valid YAML. The place is where parsing stopped, often one line after the cause."
    Error TooLarge "too-large"
        "The file, its nesting or its expanded aliases exceed the limits: 4 MiB, 64 levels, 100,000 values. Ordinary app files are about a thousand times smaller."
    Error DuplicateKey "duplicate-key"
        "A mapping contains the same key twice. YAML parsers disagree on which value counts, so pso-gen uses neither. Keep one of the two."
    Error UnsupportedYaml "unsupported-yaml"
        "The file uses YAML that pso-gen does not support: custom tags, keys that are not scalars, or an unknown anchor. Write plain mappings, lists and scalars."
    Error NothingToDo "nothing-to-do"
        "No app was found. Pass a file `*.pso.yaml` or a folder that contains one. pso-gen never prints an empty output, because Argo CD would then prune everything."
    Error UnknownKind "unknown-kind"
        "The document's `kind` is neither `Storage` nor a known blueprint. Put your own blueprints into a `blueprints` folder beside the app, or pass their folder with `--blueprints`."
    Error UnsupportedVersion "unsupported-version"
        "The document's `apiVersion` is not `pso-gen.io/v1alpha1`, the only supported version."
    Error MissingField "missing-field"
        "A required field is missing."
    Error UnknownField "unknown-field"
        "The field does not exist; most often its name is misspelled. `pso-gen explain KIND` lists the fields."
    Error WrongType "wrong-type"
        "The value has a different type than the field, for example a list instead of a text, or a text instead of a number."
    Error BadValue "bad-value"
        "The value has the right type but is not allowed: out of range, not one of the choices, or not a valid host name."
    Error BadSize "bad-size"
        "The value is not a size. Write sizes as Kubernetes quantities: `500Mi`, `20Gi`, `1.5Ti`, or plain bytes."
    Error BadLayer "bad-layer"
        "A layer (`-f`) or a `--set` does not name the app that it changes, or matches no app."
    Warning BlankKey "blank-key"
        "A key of a layer (`-f`) has no value, so the layer changes nothing there. Remove the key, or write `null` to reset the field to its default."
    Error BadParameter "bad-parameter"
        "A parameter or variable that Argo CD passes to the plugin is invalid: it has no value, several values, or a name that matches no field. `pso-gen argocd parameters` lists the parameters of a folder."
    Error BadList "bad-list"
        "`pso-gen fn`: standard input is not a KRM `ResourceList`, or `functionConfig` sets a field that the function does not have."
    Error BadBlueprint "bad-blueprint"
        "A blueprint refers to a component, volume, secret, port or file that it does not declare."
    Warning BlueprintAdvice "blueprint-advice"
        "Advice to the author of a blueprint: a setting of a component works, but another one is better."
    Error BadExpression "bad-expression"
        "An expression between `{{` and `}}` cannot be parsed or evaluated, or its value has the wrong type for the field."
    Error UnknownClass "unknown-class"
        "The volume class is not declared. Use `pure-file`, `pure-block`, or a class of the run's Storage document (pass it with `--storage`)."
    Error UnknownName "unknown-name"
        "A name refers to a port, a key or an object that does not exist. If the object may exist outside the run (a Secret, a namespace, a claim) and the name resembles that of an object in the run, this is a warning."
    Error BlockShared "block-shared"
        "Several pods would share a volume on block storage, which can be attached to only one node at a time. Use one pod, or a file class."
    Warning NoNodeService "no-node-service"
        "The app stores data on block storage, and the run's Storage document does not install the node service, which mounts block volumes. The volume is created, and its pods do not start: their events name a timeout of the attachment. Install the node service, or use a file class."
    Error VolumeUnused "volume-unused"
        "The app configures a volume that no component mounts with the current settings."
    Error NameTooLong "name-too-long"
        "A Kubernetes name derived from the app's name would be too long. Shorten `metadata.name`."
    Error Collision "collision"
        "Two apps of one run render the same Kubernetes object, so one would overwrite the other. Rename one of the apps, or give it another namespace."
    Error HostCollision "host-collision"
        "Two apps of one run use the same host name. Give each app a host name of its own."
    Error Quota "quota"
        "The claims of the run exceed the Storage document's quota for their namespace and class. Kubernetes would refuse the last claims."
    Warning MutableImage "mutable-image"
        "The image has a tag that may later refer to a different image (`latest`, `8`), or no tag. Pin a full version, or better a digest."
    Error VersionJump "version-jump"
        "The app would skip a major version compared with the baseline. It can be upgraded only from one major version to the next: upgrade in steps."
    Error ImmutableChange "immutable-change"
        "Kubernetes refuses this change of an existing object, so the sync would fail."
    Error VolumeShrinks "volume-shrinks"
        "The volume would become smaller than in the baseline. Kubernetes refuses to shrink a claim; it accepts a lower request only while an expansion has not succeeded, and only above `status.capacity`."
    Warning ClaimDropped "claim-dropped"
        "A claim of the baseline is no longer rendered. Its data stays until you delete the claim, because claims are never pruned."
    Warning FolderChanged "folder-changed"
        "The app uses another folder of a claim than in the baseline. It does not see the data in the earlier folder. Keep the `path`, or move the data while the app is stopped."
    Error Expired "expired"
        "The app's last day has passed. Remove the file, so that its objects are pruned, or write a later date."
    Error ServerBlocked "server-blocked"
        "The app connects to a server outside of it, and its own NetworkPolicies block the connection: with `network: {egress: closed}`, the server's name does not show its network, or the address is one that is always blocked."
    Error SecurityProfile "security-profile"
        "The app does not meet the Pod Security profile that it sets."
    Error ForeignStorage "foreign-storage"
        "A pod uses an NFS server, an iSCSI portal or a storage driver without a claim. The admission policy of the run's Storage document refuses such a pod, because it could mount the volume of any claim. Use a volume of the app, or ask the platform admin to list the other storage under `provisioner.foreign`."
    Error TenantRule "tenant-rule"
        "The app uses a feature that the platform does not allow its tenants. The platform sets the rules with `PSO_GEN_TENANT_RULES` or `--tenant-rules`; `pso-gen explain TenantRules` describes them."
    Error NodeLocalLock "node-local-lock"
        "The class mounts with `nolock`, so file locks apply to one node only, and several pods would install or upgrade at the same time."
    Error AppRule "app-rule"
        "The app breaks a rule of its blueprint: some of its settings do not work together."
    Warning AppAdvice "app-advice"
        "Advice of the app's blueprint: the setting works, but another one is better."
    Warning StorageAdvice "storage-advice"
        "Advice on a storage document: the setting is valid, but it admits more machines than usual, or looks like a mistake."
    Warning NoEffect "no-effect"
        "The setting has no effect, because another setting takes precedence. Remove it, or change the other one."
    Error Refused "refused-by-kubernetes"
        "The API server would refuse an object of the app, so the sync would fail. The message names the object and its field, as the API server does."
    Warning PlainHttp "plain-http"
        "The app is reachable from outside without TLS; passwords would be sent unencrypted."
    Warning IngressLimit "ingress-limit"
        "The app takes large uploads or long requests, and the Ingress names no class. Ingress controllers have limits of their own, such as 1 MiB for nginx, and each takes other annotations to raise them. Name the class `nginx` or `haproxy`, or write the annotations of your controller."
    Error BadPatch "bad-patch"
        "A patch does not apply, or its result is not a valid Kubernetes object."
    Error UnknownManifest "unknown-manifest"
        "An object in `manifests` has a kind or field that does not exist in Kubernetes."
    Error SecretInFile "secret-in-file"
        "A file that belongs in Git contains a secret value. Put the value into a Secret and refer to the Secret."
    Error BadEarlier "bad-earlier"
        "The baseline (`--since`) cannot be read."
    Warning NotCompared "not-compared"
        "The comparison with the baseline (`--since` or `diff`) is incomplete: an app of the baseline does not render, or the baseline contains none of the current apps. Their changes were not checked. Compare with a revision or an output that contains them."
    Error ClaimShared "claim-shared"
        "Two volumes use the same claim: two volumes of one app, volumes of two apps, or a volume of an app in the baseline. Each app treats the data on its volume as its own, and two database servers on one volume destroy it. Give each volume a claim of its own."
    Warning NoCounterpart "no-counterpart"
        "`import-pso`: pso-gen has no such setting of Pure Service Orchestrator or Portworx, or gives it a different meaning. The storage document omits it. The message describes its effect and the alternative."
    Warning ImportVolume "import-volume"
        "`import-pso --volumes`: a volume of the old driver needs a manual step or a check before a claim can take it over."
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert!(
            names
                .iter()
                .all(|n| { n.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '8') })
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
