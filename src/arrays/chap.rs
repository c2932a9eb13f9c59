//! The CHAP passwords of an array's hosts, as a pod mounts their Secret.

use std::path::PathBuf;

use crate::contract::{ChapPassword, ChapSecret};

/// The largest file that is read, in bytes. A password has at most 255.
const LARGEST: u64 = 4096;

/// The folder with a file for each node, of the node's name. A password is read whenever a volume is attached, so that a new
/// one takes effect without a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChapFolder {
    path: PathBuf,
}

impl ChapFolder {
    /// Returns the folder of a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Reads the password of a node.
    ///
    /// # Errors
    /// Returns the path and the reason, and nothing of the file's contents.
    pub async fn read(&self, node: &str) -> Result<ChapPassword, String> {
        let path = self.path.join(node);
        let failure = |why: &str| format!("{}: {why}", path.display());
        if node.is_empty() || node.starts_with('.') || node.contains('/') {
            return Err(failure("no name of a node"));
        }
        let size = tokio::fs::metadata(&path).await;
        let size = size.map_err(|error| failure(&error.kind().to_string()))?.len();
        if size > LARGEST {
            return Err(failure("too large for a password"));
        }
        let text = tokio::fs::read_to_string(&path).await;
        let text = text.map_err(|error| failure(&error.kind().to_string()))?;
        let secret = ChapSecret::new([(node.to_owned(), text)].into());
        let password = secret.password(node).map_err(|error| failure(&error.to_string()))?;
        password.ok_or_else(|| failure("empty"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_read_by_the_name_of_its_node_and_in_no_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("n1", "correct-horse-9\n");
        write("n2", "horse");
        write("n3", &"horse-".repeat(1000));
        let passwords = ChapFolder::new(folder.path());
        let read = passwords.read("n1").await.expect("there");
        assert_eq!(read.expose(), "correct-horse-9");
        for node in ["n2", "n3", "n4", "../n1", "", ".."] {
            let error = passwords.read(node).await.expect_err(node);
            assert!(!error.contains("horse"), "{error}");
        }
    }
}
