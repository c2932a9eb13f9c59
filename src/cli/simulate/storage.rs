//! Writes the storage document of simulated arrays, with the files that it names.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::compiler::yaml;
use crate::contract::API_VERSION;
use crate::simulator::Running;

/// Writes the document to a file, and tokens and the certificate into its folder.
pub(super) fn write(path: &Path, running: &Running) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("storage");
    let stem = name.split('.').next().unwrap_or(name);
    fs::create_dir_all(folder)?;
    let certificate = format!("{stem}.ca.pem");
    let text = running.certificate.as_deref().unwrap_or_default();
    put(&folder.join(&certificate), text, PRIVATE)?;
    let mut arrays = Vec::new();
    for array in &running.arrays {
        let token = format!("{stem}.{}.token", array.name);
        put(&folder.join(&token), &array.token, PRIVATE)?;
        arrays.push(json!({
            "name": array.name,
            "type": array.kind,
            "management": array.url.trim_start_matches("https://"),
            "token": {"file": token},
            "ca": {"file": certificate},
        }));
    }
    let document: Json = json!({
        "apiVersion": API_VERSION,
        "kind": "Storage",
        "metadata": {"name": "simulated", "namespace": "pso-system"},
        "spec": {"cluster": "demo", "nodes": ["10.0.0.0/8"], "arrays": arrays},
    });
    let mut text =
        "# Simulated arrays: this document is written anew whenever they start.\n".to_owned();
    yaml::write(&mut text, &document).map_err(io::Error::other)?;
    put(path, &text, 0o666)
}

/// Mode of a file that only its owner may read.
const PRIVATE: u32 = 0o600;

/// Writes a file. An existing file or link is replaced, and not written through.
fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_replaced_and_not_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        fs::write(&target, "keep").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        put(&link, "token", PRIVATE).expect("written");
        assert_eq!(fs::read_to_string(&target).expect("there"), "keep");
        let metadata = link.symlink_metadata().expect("there");
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, PRIVATE);
    }
}
