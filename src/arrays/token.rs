//! An array's API token, from a file. It is never shown: not by `Debug`, not in an error.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

/// Largest token file, in bytes: whatever is larger is none.
const LARGEST: usize = 4096;

/// Where an array's API token is. The file is read again for every login, and looked at while a session
/// lasts, so that a new token is taken without a restart.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

/// A token that was read.
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

    /// Reads the token; white space round it does not count. Errors tell the path and what is wrong,
    /// nothing of what is in it.
    pub(super) async fn read(&self) -> Result<Token, String> {
        let told = |why: &str| format!("{}: {why}", self.path.display());
        let text = tokio::fs::read(&self.path).await;
        let text = text.map_err(|error| told(&error.kind().to_string()))?;
        if text.len() > LARGEST {
            return Err(told("too large for a token"));
        }
        let text = String::from_utf8(text).map_err(|_| told("not text"))?;
        let token = text.trim();
        if token.is_empty() {
            return Err(told("empty"));
        }
        // Anything else would be a header that cannot be sent.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(told("not one word"));
        }
        Ok(Token(token.into()))
    }
}

impl Token {
    /// Returns the token itself, for the header of a login and to keep it out of texts.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}
