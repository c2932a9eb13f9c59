//! All objects of a run, each with the document that it comes from. Comparisons need all of them.

use super::CommandError;
use super::request::Request;
use crate::compiler::check::{Change, Owner};
use crate::compiler::diagnostic::Sources;
use crate::compiler::manifest::Earlier;
use crate::compiler::run::{Rendered, Summary, Unit};
use crate::contract::label;

/// Renders everything and returns all objects.
pub(super) fn collect(
    request: Request,
) -> Result<(Summary, Sources, Vec<RenderedOwner>), CommandError> {
    let mut rendered = Vec::new();
    let prepare = |unit: &Unit| {
        let mut all = Vec::new();
        for stored in &unit.storage {
            let objects = stored.objects.iter().map(Earlier::of).collect::<Result<_, _>>()?;
            all.push(RenderedOwner { owner: Owner::Storage(stored.document.clone()), objects });
        }
        for Rendered { app, compiled } in &unit.apps {
            let objects = compiled.objects.iter().map(Earlier::of).collect::<Result<_, _>>()?;
            all.push(RenderedOwner { owner: Owner::App(Box::new(app.clone())), objects });
        }
        Ok(all)
    };
    let (summary, sources) = request.render(prepare, |all| {
        rendered.extend(all);
        Ok(())
    })?;
    Ok((summary, sources, rendered))
}

/// An app or a storage document, with its objects.
#[derive(Debug)]
pub(super) struct RenderedOwner {
    pub(super) owner: Owner,
    pub(super) objects: Vec<Earlier>,
}

/// Returns all objects of a run.
pub(super) fn objects(
    rendered: &[RenderedOwner],
    summary: &Summary,
) -> Result<Vec<Earlier>, CommandError> {
    let mut objects: Vec<Earlier> =
        rendered.iter().flat_map(|owner| owner.objects.clone()).collect();
    for namespace in &summary.namespaces {
        objects.push(Earlier::of(namespace)?);
    }
    Ok(objects)
}

/// Returns the app or storage document that an object comes from. Of an object that is gone, it is the app that had it.
pub(super) fn owner<'k>(rendered: &'k [RenderedOwner], change: &Change) -> Option<&'k Owner> {
    let identity = &change.identity;
    let has = |owner: &&RenderedOwner| owner.objects.iter().any(|it| it.identity == *identity);
    let label = |name: &str| change.before.as_ref()?["metadata"]["labels"][name].as_str();
    let had = |owner: &&RenderedOwner| {
        owner.owner.app().is_some_and(|app| {
            app.namespace.as_deref().unwrap_or_default() == identity.namespace
                && label(label::INSTANCE) == Some(&app.name)
                && label(label::NAME) == Some(&app.kind.to_lowercase())
        })
    };
    let found = rendered.iter().find(has).or_else(|| rendered.iter().find(had));
    found.map(|owner| &owner.owner)
}
