//! Records the requests to arrays in a file. Replaying it restores the arrays, even after the process was killed.
//!
//! The state of an array depends only on the requests and their times, so these are recorded, one JSON line each.
//! Tokens and sessions are not recorded.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Array, Request, Settings};

/// A file that records requests.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

/// The first line: the arrays of the file. With other settings, the requests would have other results.
#[derive(Debug, Serialize)]
struct Head<'h> {
    arrays: Vec<&'h Settings>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry<'e> {
    array: std::borrow::Cow<'e, str>,
    /// Milliseconds since 1970.
    now: u64,
    request: std::borrow::Cow<'e, Request>,
}

impl Journal {
    /// Opens or creates a file, and replays it on the arrays. An incomplete last line was never answered, and is
    /// removed.
    pub(super) fn open(path: &Path, arrays: &mut [(Array, Settings)]) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let settings = arrays.iter().map(|(_, settings)| settings).collect();
        let head = serde_json::to_string(&Head { arrays: settings })?;
        let mut reader = BufReader::new(&file);
        let mut line = String::new();
        let mut whole = 0;
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            if whole == 0 {
                if line.trim_end() != head {
                    let path = path.display();
                    return Err(invalid(format!(
                        "{path} is of other arrays, or of other settings"
                    )));
                }
            } else {
                let entry: Entry<'_> = serde_json::from_str(&line)?;
                let of = arrays.iter_mut().find(|(_, settings)| settings.name == entry.array);
                let (array, _) = of.ok_or_else(|| invalid(format!("no array {}", entry.array)))?;
                array.repeat(&entry.request, entry.now);
            }
            whole += line.len() as u64;
            line.clear();
        }
        file.set_len(whole)?;
        if whole == 0 {
            writeln!(file, "{head}")?;
        }
        Ok(Self { file })
    }

    /// Records a request. It is in the operating system's cache when this returns, so it survives the end of this
    /// process.
    pub(super) fn add(&mut self, array: &str, request: &Request, now: u64) -> io::Result<()> {
        use std::borrow::Cow::Borrowed;
        let entry = Entry { array: Borrowed(array), now, request: Borrowed(request) };
        let mut line = serde_json::to_string(&entry)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}
