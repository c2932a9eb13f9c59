//! CHAP passwords, by which an array recognises the host of a node over iSCSI. Knows neither arrays nor devices.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// The password of one node. Its text is in no log, event or error.
#[derive(Debug, Clone)]
pub struct ChapPassword(SecretString);

/// The error of the Secret that has the passwords of the nodes. The text names the key and never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// The node has no key.
    #[error("it has no key {0}, the name of the node")]
    Missing(String),
    /// The value is none that an array and an initiator take.
    #[error(
        "the value of {0} is no password: write 12 to 255 letters, digits and ASCII punctuation, without spaces"
    )]
    Unusable(String),
}

/// The Secret with the passwords of the nodes of an array, by the nodes' names. Empty if the array has none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChapSecret(BTreeMap<String, String>);

impl ChapPassword {
    /// Returns the password of a text. 12 to 255 characters are the limits of the array's REST API; what is no printable
    /// ASCII character cannot be written to the record of an initiator.
    pub fn new(text: &str) -> Option<Self> {
        let good = (12..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| Self(text.into()))
    }

    /// Returns the text, for the request to the array and for the record of the initiator.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for ChapPassword {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for ChapPassword {}

impl ChapSecret {
    /// Returns the Secret with these keys and values.
    pub fn new(values: BTreeMap<String, String>) -> Self {
        Self(values)
    }

    /// Returns the password of a node; none if the array has no passwords.
    pub fn password(&self, node: &str) -> Result<Option<ChapPassword>, InvalidPassword> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let missing = || InvalidPassword::Missing(node.to_owned());
        // Editors and `echo` leave a line break at the end.
        let text = self.0.get(node).ok_or_else(missing)?.trim_end_matches(['\r', '\n']);
        let unusable = || InvalidPassword::Unusable(node.to_owned());
        ChapPassword::new(text).map(Some).ok_or_else(unusable)
    }
}

impl fmt::Debug for ChapSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(value: &str) -> ChapSecret {
        ChapSecret::new([("n1".to_owned(), value.to_owned())].into())
    }

    #[test]
    fn each_node_has_its_own_password_and_no_text_shows_it() {
        let value = "correct-horse-9";
        let secret = secret(&format!("{value}\n"));
        let password = secret.password("n1").expect("valid").expect("there");
        assert_eq!(password.expose(), value);
        let missing = secret.password("n2").expect_err("no key");
        for shown in [format!("{secret:?} {password:?}"), missing.to_string()] {
            assert!(!shown.contains("horse"), "{shown}");
        }
        assert_eq!(ChapSecret::default().password("n1"), Ok(None));
    }

    #[test]
    fn a_value_that_array_or_initiator_refuses_is_no_password() {
        let long = "a".repeat(255);
        for good in ["twelve-chars", &long] {
            assert!(secret(good).password("n1").is_ok(), "{good}");
        }
        let longer = "a".repeat(256);
        for bad in
            ["", "eleven-char", "with a space", "line\nbreak-in-it", "pässword-1234", &longer]
        {
            let error = secret(bad).password("n1").expect_err("no password");
            assert_eq!(error, InvalidPassword::Unusable("n1".to_owned()));
            assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
        }
    }
}
