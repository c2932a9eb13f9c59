//! Locates an application in its repository, and the files that its parameters name.

use std::path::{Component, Path, PathBuf};

/// The part of a repository that a plugin can access: Argo CD unpacks it into a separate folder, and starts the plugin
/// in the application's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The topmost accessible folder.
    pub top: PathBuf,
    /// The application's folder relative to the top; empty for the top itself.
    pub app: PathBuf,
    /// The path of the top within the repository, when Argo CD has sent only a part of it
    /// (`--plugin-use-manifest-generate-paths`).
    above: PathBuf,
}

impl Repository {
    /// Finds the top: from `folder`, where the plugin was started, upwards as long as the names match those of
    /// `source_path`, the application's path in the repository. It never goes further, because the folders above belong
    /// to other tenants.
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

    /// Returns the target of a path before links are followed: relative to the application's folder, or to the
    /// repository's top when it starts with `/`, as with Argo CD's Helm value files.
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
        // A path that could lead upwards, and one that the folder does not have.
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
