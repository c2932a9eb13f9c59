//! Names that exceed the limits of Kubernetes once the app's name is prepended.

use crate::compiler::blueprint::App;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::manifest::Object;

/// Returns the longest name of a kind, and the reason.
fn limit(object: &Object) -> (usize, &'static str) {
    match object {
        // The controller adds 11 characters for the Job of a run.
        Object::CronJob(_) => (52, "a CronJob's runs add 11 characters to a label of 63"),
        // The revision hash, 11 characters with the dash, becomes a label of the pods.
        Object::StatefulSet(_) => {
            (52, "a StatefulSet's revision adds 11 characters to a label of 63")
        }
        // ReplicaSet and pod add 17 characters; a host name has at most 63.
        Object::Deployment(_) => (46, "a Deployment's pods add 17 characters to a host name of 63"),
        Object::Service(_) | Object::Job(_) | Object::Namespace(_) => (63, "it is a DNS label"),
        _ => (253, "it is a DNS name"),
    }
}

/// Returns an error if the app's Services would have invalid DNS names: RFC 1035 requires a letter first.
pub(super) fn services(app: &App, objects: &[Object]) -> Option<Diagnostic> {
    let mut services = objects.iter().filter(|object| matches!(object, Object::Service(_)));
    let invalid =
        services.find(|service| service.name().starts_with(|c: char| c.is_ascii_digit()))?;
    let path = "metadata.name";
    let message = format!(
        "the Service would have the name `{}`, but its name must begin with a letter",
        invalid.name()
    );
    let fix = format!("write `name: app-{}`", app.name);
    Some(Diagnostic::new(Code::BadValue, app.place(path), message).at(path).fix(fix))
}

/// Returns one error for the longest name that exceeds its limit.
pub(super) fn names(app: &App, objects: &[Object]) -> Option<Diagnostic> {
    let too_long = objects.iter().filter_map(|object| {
        let (limit, why) = limit(object);
        let over = object.name().len().checked_sub(limit).filter(|over| *over > 0)?;
        Some((over, object, limit, why))
    });
    let (over, object, limit, why) = too_long.max_by_key(|(over, ..)| *over)?;
    let path = "metadata.name";
    let message = format!(
        "the name of the {} would be `{}` with {} characters; at most {limit} are allowed, since {why}",
        object.type_meta().1,
        object.name(),
        object.name().len(),
    );
    let diagnostic = Diagnostic::new(Code::NameTooLong, app.place(path), message).at(path);
    Some(match app.name.len().checked_sub(over).filter(|left| *left > 0) {
        Some(left) => diagnostic.fix(format!("give the app a name of at most {left} characters")),
        None => diagnostic.fix("shorten the name in the blueprint"),
    })
}
