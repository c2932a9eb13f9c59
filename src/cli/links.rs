//! Where a path leads that somebody has named: a link that lies in a repository leads to what is in that
//! repository, and nowhere else.
//!
//! Who names a path vouches for the path; who may write into the repository has made the links in it. A link
//! to `/proc/self/environ`, or to a neighbour's file, would be quoted in a diagnostic, which a pipeline posts.
//! Links elsewhere (`/tmp` on macOS, `/dev/fd` of a shell) are the machine's, and are followed.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Trouble;
use super::path::shown;

/// The folder that makes its parent a repository.
const GIT: &str = ".git";
/// Where the kernel shows itself: no file of a repository, whatever folder counts as one.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Opens a file that somebody has named.
pub(super) fn open(path: &Path) -> Result<File, Trouble> {
    let failed = |source| Trouble::Read { path: shown(path), source };
    File::open(checked(path)?).map_err(failed)
}

/// Returns a path that somebody has named with its links followed, as far as they lie in a repository and
/// stay there.
pub(super) fn checked(path: &Path) -> Result<PathBuf, Trouble> {
    let failed = |source| Trouble::Read { path: shown(path), source };
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
            // An open file of this process has no path of its own.
            (Err(_), None) => return Ok(link.join(components.as_path())),
        };
    }
    Ok(here)
}

/// What a link in a folder may not lead out of: the repository around it, else the folder in which the
/// program was started. None elsewhere.
fn bounds(folder: &Path) -> Option<PathBuf> {
    let repository = folder.ancestors().find(|folder| folder.join(GIT).exists());
    let here = || env::current_dir().ok().filter(|here| folder.starts_with(here));
    repository.map(Path::to_owned).or_else(here)
}

fn is_within(target: &Path, bounds: &Path) -> bool {
    let inside = target.strip_prefix(bounds).is_ok_and(|below| !below.starts_with(GIT));
    inside && KERNEL.iter().all(|folder| !target.starts_with(folder))
}

fn leads_out(path: &Path, link: &Path) -> Trouble {
    let link = if path.ends_with(link.file_name().unwrap_or_default()) { path } else { link };
    Trouble::Read {
        path: shown(path),
        source: io::Error::other(format!(
            "{} is a link that leads out of the repository; put the file itself there",
            shown(link)
        )),
    }
}
