//! Reads the class of a claim as Kubernetes does.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::annotation;

/// Returns the name of a claim's class. As in Kubernetes, the annotation that is older than `storageClassName` takes
/// precedence.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#class-1>
pub fn class_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    let annotations = claim.metadata.annotations.as_ref();
    let annotation = annotations.and_then(|all| all.get(annotation::LEGACY_CLASS));
    let field = || claim.spec.as_ref()?.storage_class_name.as_ref();
    annotation.or_else(field).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(spec: &Value) -> PersistentVolumeClaim {
        let claim = json!({"metadata": {"annotations": {"other": "x"}}, "spec": spec});
        serde_json::from_value(claim).expect("typed")
    }

    #[test]
    fn the_legacy_annotation_names_the_class() {
        let mut both = claim(&json!({"storageClassName": "new"}));
        assert_eq!(class_of(&both), Some("new"));
        let mut annotate = |class: &str| {
            let annotations = both.metadata.annotations.get_or_insert_default();
            annotations.insert(annotation::LEGACY_CLASS.to_owned(), class.to_owned());
            class_of(&both).map(str::to_owned)
        };
        assert_eq!(annotate("old").as_deref(), Some("old"), "the annotation wins");
        assert_eq!(annotate("").as_deref(), Some(""), "no class, and not the default one");
        assert_eq!(class_of(&claim(&json!({}))), None);
        let mut alone = claim(&json!({}));
        alone
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(annotation::LEGACY_CLASS.to_owned(), "old".to_owned());
        assert_eq!(class_of(&alone), Some("old"));
    }
}
