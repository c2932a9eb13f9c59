//! Reads an array's API token from a file. Neither `Debug` nor an error shows the token.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

/// Largest token file, in bytes. A larger file does not contain a token.
const LARGEST: usize = 4096;

/// The file with an array's API token. The client reads it for every log-in, and checks it while a session lasts, so
/// that a new token takes effect without a restart.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

/// A token read from a file.
#[derive(Debug, Clone)]
pub(super) struct Token(SecretString);

impl TokenFile {
    /// Returns the token file of a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the token without surrounding white space.
    ///
    /// # Errors
    /// Returns the path and the reason, and nothing of the file's contents.
    pub(super) async fn read(&self) -> Result<Token, String> {
        let failure = |why: &str| format!("{}: {why}", self.path.display());
        let text = tokio::fs::read(&self.path).await;
        let text = text.map_err(|error| failure(&error.kind().to_string()))?;
        if text.len() > LARGEST {
            return Err(failure("too large for a token"));
        }
        let text = String::from_utf8(text).map_err(|_| failure("not text"))?;
        let token = text.trim();
        if token.is_empty() {
            return Err(failure("empty"));
        }
        // Other bytes cannot be sent in a header.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failure("not one word"));
        }
        Ok(Token(token.into()))
    }
}

impl Token {
    /// Returns the token itself, for the header of a log-in and for scrubbing it from texts.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}
