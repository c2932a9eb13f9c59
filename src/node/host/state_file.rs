//! State files: one for each staging path, in one folder of the host, written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::node::decide::StagedVolume;

/// The folder of state files. It is on the host, so that a new container reads what an old one has written.
#[derive(Debug, Clone)]
pub(super) struct StateFolder {
    /// The folder.
    pub(super) path: PathBuf,
}

impl StateFolder {
    fn file(&self, staging: &Path) -> PathBuf {
        self.path.join(file_name(staging.as_os_str().as_encoded_bytes()))
    }

    /// Returns all of them. One that cannot be read is an error: without it, it is unknown what is staged.
    pub(super) fn all(&self) -> io::Result<Vec<StagedVolume>> {
        let mut all: Vec<StagedVolume> = all(&self.path)?;
        all.sort_by(|a, b| a.staging.cmp(&b.staging));
        Ok(all)
    }

    /// Writes one.
    pub(super) fn write(&self, state: &StagedVolume) -> io::Result<()> {
        write(&self.path, &self.file(&state.staging), state)
    }

    /// Removes one; it may be gone already.
    pub(super) fn remove(&self, staging: &Path) -> io::Result<()> {
        remove(&self.path, &self.file(staging))
    }
}

/// Returns the name of the file of a key.
pub(super) fn file_name(key: &[u8]) -> String {
    let hash = Sha256::digest(key);
    let (high, _) = hash.split_at(16);
    let name = high.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{name:032x}.json")
}

/// Returns the contents of all files of a folder.
pub(super) fn all<T: DeserializeOwned>(folder: &Path) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                text => text?,
            };
            let value = serde_json::from_slice(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
            })?;
            all.push(value);
        }
    }
    Ok(all)
}

/// Writes a file of a folder.
pub(super) fn write(folder: &Path, path: &Path, value: &impl Serialize) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

/// Removes a file of a folder; it may be gone already.
pub(super) fn remove(folder: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| File::open(folder)?.sync_all()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_gone_when_it_was_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let states = StateFolder { path: folder.path().join("staged") };
        assert_eq!(states.all().expect("empty"), []);
        let state = StagedVolume {
            volume: "a/v".to_owned(),
            staging: PathBuf::from("/staging/globalmount"),
            transport: "iscsi".to_owned(),
            target: "iqn".to_owned(),
            portals: vec!["10.0.0.1:3260".to_owned()],
            lun: 7,
            serial: "0".repeat(24),
            block: false,
            formatting: true,
            chap: true,
            released: false,
        };
        for state in [&state, &StagedVolume { formatting: false, ..state.clone() }] {
            states.write(state).expect("written");
            assert_eq!(states.all().expect("read"), std::slice::from_ref(state));
        }
        fs::write(states.path.join("x.json"), "{").expect("written");
        states.all().expect_err("a file that cannot be read");
        fs::remove_file(states.path.join("x.json")).expect("removed");
        for _ in 0..2 {
            states.remove(&state.staging).expect("removed");
        }
        assert_eq!(states.all().expect("empty"), []);
    }
}
