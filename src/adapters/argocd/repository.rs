//! Where an application lies in its repository, and which file of it somebody means.

use std::path::{Component, Path, PathBuf};

/// The part of a repository that a plugin sees: Argo CD unpacks it below a folder of its own, and
/// starts the plugin in the application's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The top of what is there.
    pub top: PathBuf,
    /// The application's folder, from the top; empty for the top itself.
    pub app: PathBuf,
    /// What is above the top in the repository itself, when Argo CD has sent less than all of it
    /// (`--plugin-use-manifest-generate-paths`).
    above: PathBuf,
}

impl Repository {
    /// Finds the top: from `folder`, where the plugin was started, up as far as the names are those of
    /// `source_path`, the application's path in the repository. Never further: what is above belongs
    /// to others.
    pub fn new(folder: &Path, source_path: &str) -> Self {
        let normal = |component: Component<'_>| match component {
            Component::Normal(name) => Some(name.to_owned()),
            _ => None,
        };
        let path: Vec<_> = Path::new(source_path).components().filter_map(normal).collect();
        let mut top = folder.to_owned();
        let mut known = path.len();
        while let (Some(name), Some(wanted)) = (top.file_name(), known.checked_sub(1)) {
            if name != path[wanted] || !top.pop() {
                break;
            }
            known = wanted;
        }
        Self { top, app: path[known..].iter().collect(), above: path[..known].iter().collect() }
    }

    /// Returns where a path points, before links are followed: from the application's folder, or from
    /// the repository's top when it starts with `/`, as Argo CD has it for Helm's value files.
    pub fn place(&self, path: &str) -> Option<PathBuf> {
        match path.strip_prefix('/') {
            Some(path) => Some(self.top.join(Path::new(path).strip_prefix(&self.above).ok()?)),
            None => Some(self.top.join(&self.app).join(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(folder: &str, source_path: &str) -> Repository {
        Repository::new(Path::new(folder), source_path)
    }

    #[test]
    fn the_top_is_above_the_applications_path() {
        let whole = repository("/tmp/x/apps/nc", "apps/nc");
        assert_eq!(
            (whole.top.as_path(), whole.app.as_path()),
            (Path::new("/tmp/x"), Path::new("apps/nc"))
        );
        assert_eq!(whole.place("/base/all.yaml"), Some("/tmp/x/base/all.yaml".into()));
        assert_eq!(whole.place("../all.yaml"), Some("/tmp/x/apps/nc/../all.yaml".into()));
        for path in ["", ".", "./"] {
            assert_eq!(repository("/tmp/x", path).top, Path::new("/tmp/x"), "{path:?}");
        }
    }

    #[test]
    fn no_name_that_is_not_the_applications_is_left_behind() {
        // A path that could lead up, and one that the folder does not have.
        assert_eq!(repository("/tmp/x/nc", "../../nc").top, Path::new("/tmp/x"));
        assert_eq!(repository("/tmp/x/other", "apps/nc").top, Path::new("/tmp/x/other"));
    }

    #[test]
    fn what_was_not_sent_is_not_looked_for_elsewhere() {
        let narrowed = repository("/tmp/x/nc", "team/apps/nc");
        assert_eq!(narrowed.top, Path::new("/tmp/x"));
        assert_eq!(narrowed.place("/team/apps/base.yaml"), Some("/tmp/x/base.yaml".into()));
        assert_eq!(narrowed.place("/base.yaml"), None);
    }
}
