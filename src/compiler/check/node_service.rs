//! Warns of apps with block volumes in a cluster whose storage document installs no node service: their pods would not
//! start, although every object is valid.

use crate::compiler::blueprint::App;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::contract::storage::NoNodeService;

/// Returns one warning for all block volumes of an app.
pub(super) fn missing(app: &App) -> Option<Diagnostic> {
    let block = app
        .volumes
        .iter()
        .filter_map(|(name, volume)| Some((name.as_str(), volume, volume.class.no_node_service?)));
    let block: Vec<_> = block.collect();
    let (first, volume, reason) = *block.first()?;
    let names: Vec<&str> = block.iter().map(|(name, ..)| *name).collect();
    let path = format!("spec.volumes.{first}");
    let message = format!(
        "`{}` is block storage, and the run's storage document does not install the node service: pods that mount `{}` \
         will not start",
        volume.class.name,
        names.join("` or `"),
    );
    let fix = match reason {
        NoNodeService::NotWanted => {
            "remove `install: false` from `nodeService` in the storage document"
        }
        NoNodeService::NoImage => {
            "write `nodeService: {image: …}` or `provisioner: {image: …}` in the storage document"
        }
    };
    Some(
        Diagnostic::new(Code::NoNodeService, app.place(&path), message)
            .at(path)
            .fix(format!("{fix}, or choose a file class such as `pure-file`")),
    )
}
