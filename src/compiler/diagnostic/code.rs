//! The stable names of everything that can be wrong, each with a paragraph for the reference page.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Output is refused.
    Error,
    /// Output is given; somebody should look.
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

            /// Returns what the rule is about and what to do, in a paragraph.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }

            /// Returns the severity that the rule has by nature.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    Error NotUtf8 "not-utf8"
        "The file is not UTF-8 text. Save it as UTF-8; the place is the first byte that is not."
    Error YamlSyntax "yaml-syntax"
        "The file is not YAML. The place is where the reader could not go on, often a line after the cause."
    Error TooLarge "too-large"
        "The file, its nesting or what its aliases expand to is beyond the limits: 4 MiB, 64 levels, 100,000 values. App files are a thousandth of that."
    Error DuplicateKey "duplicate-key"
        "A key stands twice in one mapping. Readers of YAML disagree on which one counts, so neither is taken. Keep one."
    Error UnsupportedYaml "unsupported-yaml"
        "YAML that has no meaning here: custom tags, keys that are not words, an unknown anchor. Write plain mappings, lists and scalars."
    Error NothingToDo "nothing-to-do"
        "No app was found. Name a file `*.pso.yaml` or a folder that holds one. An empty output is never given, since Argo CD would prune everything."
    Error UnknownKind "unknown-kind"
        "The document's `kind` is neither `Storage` nor a known blueprint. Blueprints of your own are found in a `blueprints` folder beside the app or by `--blueprints`."
    Error UnsupportedVersion "unsupported-version"
        "The document's `apiVersion` is not `pso-gen.io/v1alpha1`."
    Error MissingField "missing-field"
        "A field that has no default is not there."
    Error UnknownField "unknown-field"
        "A field that does not exist, most often a typing mistake. `pso-gen explain KIND` lists the fields."
    Error WrongType "wrong-type"
        "The value is of another type than the field: a list where one word belongs, a word where a number belongs."
    Error BadValue "bad-value"
        "The value has the right type and still cannot be: out of range, not one of the choices, not a host name."
    Error BadSize "bad-size"
        "Not a size. Sizes are written as Kubernetes quantities: `500Mi`, `20Gi`, `1.5Ti`, or plain bytes."
    Error BadLayer "bad-layer"
        "A layer (`-f`) or a `--set` does not say which app it changes, or changes none."
    Warning BlankKey "blank-key"
        "A key of a layer (`-f`) has no value, so the layer changes nothing there. Remove the key, or write `null` to take the field back to its default."
    Error BadParameter "bad-parameter"
        "A parameter or variable that Argo CD hands to the plugin is not one: it has no value, several, or a name that no field has. `pso-gen argocd parameters` lists those of a folder."
    Error BadList "bad-list"
        "`pso-gen fn`: what came on standard input is not the `ResourceList` of a KRM function, or the function's configuration sets what it has not."
    Error BadBlueprint "bad-blueprint"
        "A blueprint contradicts itself: it names a component, volume, secret, port or file that it does not have."
    Error BadExpression "bad-expression"
        "An expression between `{{` and `}}` cannot be read or evaluated, or its value does not fit the field."
    Error UnknownClass "unknown-class"
        "The volume class is neither `pure-file` nor `pure-block` nor declared in the Storage document of the run (give it with `--storage`)."
    Error UnknownName "unknown-name"
        "A name refers to a port, a key or an object that is not there. Where it may be outside of the run (a Secret, a namespace, a claim), and is nearly the name of one in the run, this is a warning."
    Error BlockShared "block-shared"
        "A volume on block storage is attached to one node at a time, so several pods cannot share it. Use one pod, or a file class."
    Error VolumeUnused "volume-unused"
        "The app sets a volume that nothing mounts with the present settings."
    Error NameTooLong "name-too-long"
        "A Kubernetes name that is made from the app's name would be too long. Shorten `metadata.name`."
    Error Collision "collision"
        "Two apps of one run make the same Kubernetes object, so the later would overwrite the earlier. Rename one or give it another namespace."
    Error HostCollision "host-collision"
        "Two apps of one run claim the same host name."
    Error Quota "quota"
        "The claims of the run ask for more than the Storage document's quota for that namespace and class allows; Kubernetes would refuse the last of them."
    Warning MutableImage "mutable-image"
        "The image's tag can be moved to other contents (`latest`, `8`, none). Pin a full version, better a digest."
    Error VersionJump "version-jump"
        "The app would skip a major version since the earlier output. Its upgrade works from one major version to the next only: go there in steps."
    Error ImmutableChange "immutable-change"
        "Kubernetes refuses this change of an existing object, so the sync would fail."
    Error VolumeShrinks "volume-shrinks"
        "The volume would become smaller than in the earlier output. Kubernetes refuses to shrink a claim; it takes a lower request only while an expansion has not succeeded, and only above `status.capacity`."
    Warning ClaimDropped "claim-dropped"
        "A claim of the earlier output is no longer rendered. Its data stays (claims are never pruned) until a person deletes the claim."
    Error Expired "expired"
        "The app's end has passed. Remove the file, so that what it made is pruned, or write a later date."
    Error SecurityProfile "security-profile"
        "The app cannot run under the Pod Security profile that it asks for."
    Error ForeignStorage "foreign-storage"
        "A pod uses an NFS server, an iSCSI portal or a storage driver without a claim. The admission policy of the run's Storage document refuses such a pod, because it could mount the volume of any claim. Use a volume of the app, or ask the platform admin to list the other storage under `provisioner.foreign`."
    Error TenantRule "tenant-rule"
        "The app asks for more than the platform lets its tenants have. The rules are set by `PSO_GEN_TENANT_RULES` or `--tenant-rules`; `pso-gen explain TenantRules` says what they are about."
    Error NodeLocalLock "node-local-lock"
        "The class mounts with `nolock`, which keeps file locks on one node; several pods would install or upgrade at once."
    Error AppRule "app-rule"
        "A rule of the app's blueprint: settings that do not work together."
    Warning AppAdvice "app-advice"
        "Advice of the app's blueprint: it works, though there is a better way."
    Warning StorageAdvice "storage-advice"
        "Advice on a storage document: it works, and it lets in more machines than is usually meant, or looks like a mistake."
    Warning NoEffect "no-effect"
        "A setting that changes nothing, because another one decides. Remove it, or change the other one."
    Error Refused "refused-by-kubernetes"
        "The API server would refuse an object of the app, so the sync would fail. The text names the object and its field, as the API server does."
    Warning PlainHttp "plain-http"
        "The app is reachable from outside without TLS; passwords would travel in clear."
    Error BadPatch "bad-patch"
        "A patch does not apply, or what comes out of it is not what Kubernetes knows."
    Error UnknownManifest "unknown-manifest"
        "An object in `manifests` has a kind or field that Kubernetes does not know."
    Error SecretInFile "secret-in-file"
        "A secret value is written in a file that belongs in Git. Put it into a Secret and refer to it."
    Error BadEarlier "bad-earlier"
        "The earlier output given by `--since` cannot be read."
    Warning NotCompared "not-compared"
        "A part of the comparison with `--since` or `diff` is missing: an app of the earlier side does not render, or the earlier side has nothing of today's apps. The checks of changes did not look at it. Compare with a revision or an output that has it."
    Error ClaimShared "claim-shared"
        "Two volumes are on one claim: two volumes of one app, volumes of two apps, or a volume of an app that the earlier output has. Each app takes what it finds there for its own, and two database servers on one volume destroy it. Give each volume a claim of its own."
    Warning NoCounterpart "no-counterpart"
        "`import-pso`: a setting of Pure Service Orchestrator or Portworx that there is not here, or means something else. It is not in the storage document; the text says what it did and what to do instead."
    Warning ImportVolume "import-volume"
        "`import-pso --volumes`: something has to be done or found out before a volume of the old driver can become that of a claim."
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
