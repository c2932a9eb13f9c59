//! Unix sockets: created so that only their owner may connect, and removed at the end. Knows nothing about what is
//! served on them.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::net::{UnixListener, UnixStream};

/// A socket that is listened on. It is a stream of its connections, and its file is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
}

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Something else has its path.
    #[error("{0} exists and is not a socket; name another path, or remove it")]
    NotASocket(String),
    /// The system refuses it.
    #[error("{path}: {source}")]
    Refused {
        /// The path of the socket.
        path: String,
        /// The system's error.
        source: io::Error,
    },
}

impl Socket {
    /// Listens on a path. A socket that is left there from an earlier process is replaced; a file of another kind stays.
    pub(super) fn listen(path: &Path) -> Result<Self, SocketError> {
        let shown = || crate::sanitize::name(&path.display().to_string());
        let refused = |source| SocketError::Refused { path: shown(), source };
        let name = path.file_name().ok_or_else(|| refused(io::ErrorKind::InvalidInput.into()))?;
        // Kubelet ignores files whose names begin with a dot. Only when none but the owner may connect, the socket
        // gets its name, in place of an old one.
        let mut hidden = OsString::from(".");
        hidden.push(name);
        let hidden = path.with_file_name(hidden);
        for path in [path, &hidden] {
            if !is_free(path).map_err(refused)? {
                let shown = crate::sanitize::name(&path.display().to_string());
                return Err(SocketError::NotASocket(shown));
            }
        }
        if hidden.symlink_metadata().is_ok() {
            std::fs::remove_file(&hidden).map_err(refused)?;
        }
        let listener = UnixListener::bind(&hidden).map_err(refused)?;
        let named = std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&hidden, path))
            .and_then(|()| path.symlink_metadata());
        let file = named.map_err(refused)?;
        Ok(Self { listener, path: path.to_owned(), file: (file.dev(), file.ino()) })
    }
}

/// Returns whether a path has nothing but perhaps a socket.
fn is_free(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(file) => Ok(file.file_type().is_socket()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

impl Stream for Socket {
    type Item = io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.listener.poll_accept(context));
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The next process may have replaced it already.
        let is_ours =
            self.path.symlink_metadata().is_ok_and(|file| (file.dev(), file.ino()) == self.file);
        if is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_its_owner_and_replaces_only_a_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("csi.sock");
        let first = Socket::listen(&path).expect("free");
        let mode = path.symlink_metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Socket::listen(&path).expect("a socket is replaced");
        drop(first);
        UnixStream::connect(&path).await.expect("the second one's file stays");
        drop(second);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "cleaned up");

        std::fs::write(&path, "precious").expect("written");
        let refused = Socket::listen(&path).expect_err("a file");
        assert!(matches!(refused, SocketError::NotASocket(_)), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "precious");
        let elsewhere = folder.path().join("other");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("link.sock")).expect("a link");
        Socket::listen(&folder.path().join("link.sock")).expect_err("a link is not followed");
        let missing = Socket::listen(&folder.path().join("none/csi.sock")).expect_err("no folder");
        assert!(matches!(missing, SocketError::Refused { .. }), "{missing}");
    }
}
