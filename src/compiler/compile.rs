//! Compiles components to typed Kubernetes objects, with one file per concern.
//!
//! Input is an [`App`], output are [`Object`]s. This folder makes every decision that follows from a volume's
//! class. It knows no app by name, and nothing of files, flags or clusters.

mod access;
mod additions;
mod claim;
mod class;
mod config;
mod container;
mod flux;
mod job;
mod manifests;
mod names;
mod namespace;
mod network;
mod ownership;
mod patch;
mod platform;
mod pod;
mod routes;
mod scale;
mod secret;
mod service;
mod storage;
mod storage_class;
mod wave;
mod workload;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::compiler::blueprint::App;
use crate::compiler::diagnostic::{Diagnostic, any_error};
use crate::compiler::manifest::{self, Object};
use crate::compiler::spec::Profile;

pub use flux::SUBSTITUTE;
pub use names::OWN_LABELS;
pub use namespace::namespace;
pub(crate) use network::{Reach, is_never, never, reach};
pub(crate) use platform::refused_volumes;
pub use platform::{node_service_resources, with_amounts};
pub use storage::storage;
pub use storage_class::Storage;
pub use wave::order;

/// The result of compiling an app.
#[derive(Debug)]
pub struct Compiled {
    /// Its objects, in the order in which they are applied. The Namespace is missing, because apps of one run may
    /// share it.
    pub objects: Vec<Object>,
    /// The strictest Pod Security profile that its pods meet.
    pub profile: Profile,
}

/// Compiles an app to objects. If there are errors, it returns none.
pub fn compile(app: &App) -> (Option<Compiled>, Vec<Diagnostic>) {
    let mut diagnostics = class::rules(app);
    if any_error(&diagnostics) {
        return (None, diagnostics);
    }
    let scripts = [ownership::script(app), secret::script(app)].into_iter().flatten();
    let mut files = config::contents(app, scripts);
    files.extend(additions::contents(app));
    let context = Context { app, waves: wave::waves(app), files };
    let mut objects = Vec::new();
    objects.extend(access::service_account(&context));
    objects.extend(config::config_map(&context));
    objects.extend(secret::secrets(&context));
    objects.extend(claim::claims(&context));
    objects.extend(workload::workloads(&context));
    objects.extend(service::services(&context));
    objects.extend(scale::scaling(&context));
    objects.extend(job::jobs(&context));
    objects.extend(network::policies(&context));
    objects.extend(routes::routes(&context));
    objects.extend(manifests::manifests(&context, &mut diagnostics));
    patch::apply(app, &mut objects, &mut diagnostics);
    claim::round_up(&mut objects);
    if any_error(&diagnostics) {
        return (None, diagnostics);
    }
    flux::keep(&mut objects);
    manifest::sort(&mut objects);
    let profile = manifest::pod_security::profile(&objects);
    (Some(Compiled { objects, profile }), diagnostics)
}

/// Data that every concern needs.
struct Context<'a> {
    app: &'a App,
    waves: wave::Waves<'a>,
    /// Contents of the app's files, by key.
    files: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}
