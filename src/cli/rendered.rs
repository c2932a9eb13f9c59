//! All objects of a run, kept with the document that each comes from: for comparisons, which need all of them.

use super::CommandError;
use super::request::Request;
use crate::compiler::check::Owner;
use crate::compiler::diagnostic::Sources;
use crate::compiler::manifest::{Earlier, Identity};
use crate::compiler::run::{Rendered, Summary, Unit};

/// Renders everything and keeps it: for comparisons, which need all of it.
pub(super) fn collect(
    request: Request,
) -> Result<(Summary, Sources, Vec<RenderedOwner>), CommandError> {
    let mut kept = Vec::new();
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
        kept.extend(all);
        Ok(())
    })?;
    Ok((summary, sources, kept))
}

/// An app or a storage document, with its objects.
#[derive(Debug)]
pub(super) struct RenderedOwner {
    pub(super) owner: Owner,
    pub(super) objects: Vec<Earlier>,
}

/// Returns all objects of a run.
pub(super) fn objects(
    kept: &[RenderedOwner],
    summary: &Summary,
) -> Result<Vec<Earlier>, CommandError> {
    let mut objects: Vec<Earlier> = kept.iter().flat_map(|kept| kept.objects.clone()).collect();
    for namespace in &summary.namespaces {
        objects.push(Earlier::of(namespace)?);
    }
    Ok(objects)
}

/// Returns the app or storage document that an object comes from.
pub(super) fn owner<'k>(kept: &'k [RenderedOwner], identity: &Identity) -> Option<&'k Owner> {
    let made =
        |kept: &&RenderedOwner| kept.objects.iter().any(|object| object.identity == *identity);
    kept.iter().find(made).map(|kept| &kept.owner)
}
