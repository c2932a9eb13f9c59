//! Rules of an array's `chap`.

use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::yaml::Node;
use crate::contract::StorageSpec;
use crate::contract::storage::{ArraySpec, ArrayType, ChapSpec, TransportSpec};
use crate::sanitize::quoted;

/// Returns the errors of all arrays with passwords.
pub(super) fn chap(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let arrays = spec.arrays.iter().enumerate();
    let with = arrays.filter_map(|(index, array)| Some((index, array, array.chap.as_ref()?)));
    with.flat_map(|(index, array, chap)| errors(spec, node, index, array, chap)).collect()
}

fn errors(
    spec: &StorageSpec,
    node: &Node,
    index: usize,
    array: &ArraySpec,
    chap: &ChapSpec,
) -> Vec<Diagnostic> {
    let error = |field: &[&str], message: String, fix: String| {
        let index = index.to_string();
        let path = [&["spec", "arrays", &index, "chap"][..], field].concat();
        let place = node.place_of(path.iter().copied());
        Diagnostic::new(Code::BadValue, place, message).at(super::written(&path)).fix(fix)
    };
    let mut found = Vec::new();
    let is_iscsi =
        array.r#type == ArrayType::FlashArray && array.transport == Some(TransportSpec::Iscsi);
    if !is_iscsi {
        let message = "passwords are for iSCSI: a node that used another transport would need none";
        let fix = "write `transport: iscsi` at this FlashArray, or remove `chap`";
        found.push(error(&[], message.to_owned(), fix.to_owned()));
    }
    let used = spec.arrays.iter().flat_map(|array| {
        let sources = std::iter::once(&array.token).chain(&array.ca);
        sources.map(move |source| (array, source.secret.as_ref()))
    });
    let mut used = used.filter(|(_, secret)| *secret == Some(&chap.secret));
    if let Some((other, _)) = used.next() {
        let message = format!(
            "the Secret {} also has the token or CA of {}, and every node with a volume of this array reads all of its keys",
            quoted(&chap.secret),
            other.name
        );
        let fix = "put the passwords into a Secret of their own".to_owned();
        found.push(error(&["secret"], message, fix));
    }
    let metadata = node.get("metadata");
    let own = metadata.and_then(|metadata| metadata.get("namespace")?.text());
    if let Some(own) = own.filter(|own| spec.provisioner.is_some() && *own != chap.namespace) {
        let message = format!(
            "the Secret is in {}, and the provisioner reads Secrets of its own namespace {own}",
            quoted(&chap.namespace)
        );
        found.push(error(&["namespace"], message, format!("write `namespace: {own}`")));
    }
    found
}
