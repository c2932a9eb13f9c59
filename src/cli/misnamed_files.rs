//! Finds files that the user probably meant where none has the name `*.pso.yaml`, for the remedy of an empty run.

use std::fs;
use std::path::{Path, PathBuf};

use super::path_text::shown;

/// Largest number of files and folders that are searched.
const MOST: usize = 2000;
/// Depth of the search below a named folder.
const DEPTH: usize = 4;
/// Number of bytes of a file that are searched for a document of pso-gen.
const HEAD: usize = 4096;

/// Returns a remedy for folders in which no file was found.
pub(super) fn missed(paths: &[PathBuf]) -> Option<String> {
    let mut left = MOST;
    paths.iter().filter(|path| path.is_dir()).find_map(|path| inside(path, DEPTH, &mut left))
}

fn inside(folder: &Path, depth: usize, left: &mut usize) -> Option<String> {
    let mut entries: Vec<_> = fs::read_dir(folder).ok()?.take(*left).flatten().collect();
    *left = left.saturating_sub(entries.len());
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut folders = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (path, kind) = (entry.path(), entry.file_type().ok()?);
        if kind.is_dir() && depth > 0 && name != ".git" {
            folders.push(path);
        } else if kind.is_file()
            && let Some(fix) = of_file(&path, &name)
        {
            return Some(fix);
        }
    }
    folders.into_iter().find_map(|folder| inside(&folder, depth - 1, left))
}

fn of_file(path: &Path, name: &str) -> Option<String> {
    let shown = shown(path);
    let lower = name.to_lowercase();
    let stem = name.split('.').find(|step| !step.is_empty() && *step != "pso");
    let stem = stem.filter(|step| !["yaml", "yml"].contains(step)).unwrap_or("app");
    let ends_like_ours = lower.ends_with("pso.yaml") || lower.ends_with("pso.yml");
    let is_hidden = path.components().any(|step| {
        let step = step.as_os_str().to_string_lossy();
        step.len() > 2 && step.starts_with('.') && step != ".."
    });
    if ends_like_ours && is_hidden {
        return Some(format!(
            "{shown} is hidden, because a name in its path begins with a dot: call it `{stem}.pso.yaml`"
        ));
    }
    if ends_like_ours && (name.ends_with("pso.yaml") || name.ends_with("pso.yml")) {
        return Some(format!(
            "{shown} is left out, because a `.gitignore` names it: change that file, or name {shown} in the command"
        ));
    }
    let ending = lower.rsplit('.').next().unwrap_or_default();
    let is_text = lower.contains("pso") || ["yaml", "yml", "json"].contains(&ending);
    let is_ours = || {
        let text = fs::read(path).unwrap_or_default();
        let head = String::from_utf8_lossy(&text[..text.len().min(HEAD)]);
        head.contains(crate::contract::API_VERSION)
    };
    (is_text && is_ours()).then(|| format!("{shown} holds a document of pso-gen: call it `{stem}.pso.yaml`, or name it in the command"))
}
