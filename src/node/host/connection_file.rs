//! Records of the connections that the node service has begun over NVMe/TCP, and whether they were made, one file for
//! each, in one folder of the host. Files are written whole or not at all.

use std::io;
use std::path::PathBuf;

use super::state_file::{all, file_name, remove, write};
use crate::node::decide::Connection;

/// The folder of the records. It is on the host, so that a new container reads what an old one has written, and below `/run`,
/// because no connection outlives its boot: the host may connect to the same port at the next one.
#[derive(Debug, Clone)]
pub(super) struct ConnectionFolder {
    /// The folder.
    pub(super) path: PathBuf,
}

impl ConnectionFolder {
    fn file(&self, connection: &Connection) -> PathBuf {
        // A name has no control character.
        let key = format!("{}\n{}", connection.target, connection.portal);
        self.path.join(file_name(key.as_bytes()))
    }

    /// Returns all of them. One that cannot be read is an error: without it, it is unknown whose a connection is.
    pub(super) fn all(&self) -> io::Result<Vec<Connection>> {
        all(&self.path)
    }

    /// Writes one.
    pub(super) fn write(&self, connection: &Connection) -> io::Result<()> {
        write(&self.path, &self.file(connection), connection)
    }

    /// Removes one; it may be gone already.
    pub(super) fn remove(&self, connection: &Connection) -> io::Result<()> {
        remove(&self.path, &self.file(connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_read_as_it_was_written_and_gone_when_it_was_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let records = ConnectionFolder { path: folder.path().join("connected") };
        assert_eq!(records.all().expect("empty"), []);
        let of = |portal: &str| Connection {
            target: "nqn.a".to_owned(),
            portal: portal.to_owned(),
            connected: portal.contains(".1:"),
        };
        let (first, second) = (of("10.0.0.1:4420"), of("10.0.0.2:4420"));
        for connection in [&first, &second, &first] {
            records.write(connection).expect("written");
        }
        assert_eq!(records.all().expect("read").len(), 2);
        for _ in 0..2 {
            records.remove(&first).expect("removed");
        }
        assert_eq!(records.all().expect("read"), [second]);
    }
}
