//! Documents that are not apps, from node to typed value: the storage document and the rules for tenants.

use crate::compiler::check;
use crate::compiler::diagnostic::{Code, Diagnostic, any_error};
use crate::compiler::spec::{
    Document, Expressions, Field, Format, Kind, Metadata, STORAGE, Shape, TenantRules,
    check as check_shape, drop_blank,
};
use crate::compiler::yaml::Node;
use crate::contract::{API_VERSION, StorageSpec};

/// Returns the shape of a storage document.
pub fn storage_shape() -> Shape {
    let fixed = |about: &str, word: &str| {
        let choices = vec![word.to_owned()];
        Shape::new(about, Kind::Text { format: Format::Text, choices, min: None, max: None })
    };
    let field =
        |name: &str, shape: Shape, required| Field { name: name.to_owned(), shape, required };
    let mut metadata = Shape::of::<Metadata>();
    "How it is called and where the provisioner lives.".clone_into(&mut metadata.about);
    Shape::new(
        "The platform admin's document: arrays, storage classes, quotas. Written once per cluster.",
        Kind::Object(vec![
            field("apiVersion", fixed("Version of this document's fields.", API_VERSION), true),
            field("kind", fixed("Kind of the document.", STORAGE), true),
            field("metadata", metadata, true),
            field("spec", Shape::of::<StorageSpec>(), true),
        ]),
    )
}

/// Returns the shape of the platform's rules for tenants.
pub fn tenant_rules_shape() -> Shape {
    Shape::of::<TenantRules>()
}

/// Reads the platform's rules for tenants.
pub fn read_tenant_rules(node: &Node) -> Result<TenantRules, Vec<Diagnostic>> {
    let shape = tenant_rules_shape();
    let mut node = node.clone();
    drop_blank(&mut node, &shape);
    let diagnostics = check_shape(&node, &shape, "", Expressions::Refused);
    if any_error(&diagnostics) {
        return Err(diagnostics);
    }
    node.read::<TenantRules>().map_err(|error| {
        let place = error.place.unwrap_or(node.place);
        vec![Diagnostic::new(Code::WrongType, place, error.message)]
    })
}

/// Reads a storage document: its name and `spec`.
pub fn read_storage(document: &Document) -> Result<(String, StorageSpec), Vec<Diagnostic>> {
    let shape = storage_shape();
    let mut node = document.node.clone();
    drop_blank(&mut node, &shape);
    let node = &node;
    let mut diagnostics = check_shape(node, &shape, "", Expressions::Refused);
    let mut tokens = check::tokens(node);
    let known = |other: &Diagnostic| tokens.iter().any(|token| token.place == other.place);
    let others = check::secrets(node, &shape);
    let others: Vec<_> = others.into_iter().filter(|other| !known(other)).collect();
    tokens.extend(others);
    // What else is wrong with such a value would show it.
    diagnostics.retain(|other| tokens.iter().all(|token| token.place != other.place));
    diagnostics.extend(tokens);
    if any_error(&diagnostics) {
        return Err(diagnostics);
    }
    let spec = node.get("spec").unwrap_or(node);
    let read = spec.read::<StorageSpec>().map_err(|error| {
        let place = error.place.unwrap_or(document.kind_place);
        vec![Diagnostic::new(Code::WrongType, place, error.message)]
    })?;
    let diagnostics = check::storage(&read, node);
    if diagnostics.is_empty() {
        Ok((document.name().unwrap_or("storage").to_owned(), read))
    } else {
        Err(diagnostics)
    }
}
