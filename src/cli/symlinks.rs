//! Resolves a path that the user has named. A link in a repository may only lead to a file in that repository.
//!
//! The user is responsible for the path, but every author of the repository can create links in it. A
//! diagnostic would quote the target of a link to `/proc/self/environ` or to another tenant's file, and a pipeline
//! publishes diagnostics. Other links (`/tmp` on macOS, `/dev/fd` of a shell) belong to the machine and are followed.

use std::env;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

use super::CommandError;
use super::path_text::shown;

/// The folder that marks its parent as a repository.
const GIT: &str = ".git";
/// File systems of the kernel. They are never part of a repository, whatever folder counts as one.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Opens a file that the user has named.
pub(super) fn open(path: &Path) -> Result<File, CommandError> {
    let failed = |source| CommandError::Read { path: shown(path), source };
    File::open(checked(path)?).map_err(failed)
}

/// Resolves the links in a path that the user has named. Fails when a link in a repository leads out of it.
pub(super) fn checked(path: &Path) -> Result<PathBuf, CommandError> {
    let failed = |source| CommandError::Read { path: shown(path), source };
    let absolute = std::path::absolute(path).map_err(failed)?;
    let mut here = PathBuf::new();
    let mut components = absolute.components();
    while let Some(component) = components.next() {
        if component == Component::ParentDir {
            here.pop();
            continue;
        }
        let next = here.join(component);
        if !fs::symlink_metadata(&next).is_ok_and(|metadata| metadata.is_symlink()) {
            here = next;
            continue;
        }
        let (link, bounds) = (next, bounds(&here));
        here = match (fs::canonicalize(&link), bounds) {
            (Ok(target), None) => target,
            (Ok(target), Some(bounds)) if is_within(&target, &bounds) => target,
            (Ok(_), Some(_)) => return Err(leads_out(path, &link)),
            (Err(source), Some(_)) => return Err(failed(source)),
            // An open file of this process has no path.
            (Err(_), None) => return Ok(link.join(components.as_path())),
        };
    }
    Ok(here)
}

/// Returns the folder that a link must not lead out of: the repository around it, else the current directory. Returns
/// `None` elsewhere.
fn bounds(folder: &Path) -> Option<PathBuf> {
    let repository = folder.ancestors().find(|folder| folder.join(GIT).exists());
    let here = || env::current_dir().ok().filter(|here| folder.starts_with(here));
    repository.map(Path::to_owned).or_else(here)
}

fn is_within(target: &Path, bounds: &Path) -> bool {
    let inside = target.strip_prefix(bounds).is_ok_and(|below| !below.starts_with(GIT));
    inside && KERNEL.iter().all(|folder| !target.starts_with(folder))
}

fn leads_out(path: &Path, link: &Path) -> CommandError {
    let link = if path.ends_with(link.file_name().unwrap_or_default()) { path } else { link };
    CommandError::LinkLeadsOut { path: shown(path), link: shown(link) }
}
