//! The session with an array, shared by all its operations: the first operation that finds it ended logs in, and the
//! others wait.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::error::{Error, Kind};
use super::identity::Identity;
use super::token::Token;
use super::version::Version;
use crate::sanitize;

/// Time for which a rejected token is not tried again: arrays lock users out.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// A session, with the data that was read at log-in.
#[derive(Debug)]
pub(super) struct Session {
    /// HTTP client, with the authorities that the file contained at log-in.
    pub(super) http: reqwest::Client,
    /// Header `x-auth-token`. Marked sensitive, so that `Debug` does not show it.
    pub(super) header: HeaderValue,
    /// The REST version in the path of all requests.
    pub(super) version: Version,
    /// The identity of the array.
    pub(super) identity: Identity,
    /// The contents of the files at log-in.
    pub(super) credentials: Credentials,
    checked: Mutex<Instant>,
}

/// The contents of the files that are needed to connect and log in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Credentials {
    /// The token.
    pub(super) token: Token,
    /// Contents of the file of authorities.
    pub(super) authorities: Option<Vec<u8>>,
}

impl Session {
    pub(super) fn new(
        http: reqwest::Client,
        header: HeaderValue,
        version: Version,
        credentials: Credentials,
    ) -> Self {
        let identity = Identity::default();
        Self { http, header, version, identity, credentials, checked: Mutex::new(Instant::now()) }
    }

    /// Returns whether the files are due for another check. Returns true to one caller per interval.
    pub(super) fn is_check_due(&self, every: Duration) -> bool {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = checked.elapsed() >= every;
        if due {
            *checked = Instant::now();
        }
        due
    }

    /// Removes the token and the session from a text, in case an array repeats them.
    pub(super) fn scrub(&self, text: &str) -> String {
        scrub(text, &[self.credentials.token.expose(), self.header.to_str().unwrap_or_default()])
    }
}

/// Removes secrets from a text, puts it on one line and shortens it. Of a long text, only the beginning is processed.
pub(super) fn scrub(text: &str, secrets: &[&str]) -> String {
    const WINDOW: usize = 4096;
    let mut end = text.len().min(WINDOW);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut window = text[..end].to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        window = window.replace(secret, "[hidden]");
        if end < text.len() {
            // The cut may have left the beginning of a secret.
            let cut = (1..secret.len()).rev().find(|cut| {
                secret.get(..*cut).is_some_and(|beginning| window.ends_with(beginning))
            });
            window.truncate(window.len() - cut.unwrap_or_default());
        }
    }
    sanitize::line(&window, sanitize::LONGEST)
}

/// The session of an array, if one is open.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    current: tokio::sync::Mutex<Current>,
    /// Counts log-in attempts, so that operations that waited for one share its result.
    tries: AtomicU64,
}

#[derive(Debug, Default)]
struct Current {
    session: Option<Arc<Session>>,
    failure: Option<Error>,
}

impl Sessions {
    /// Returns the session. Opens one when there is none, or when `ended` is the current one.
    pub(super) async fn get(
        &self,
        ended: Option<&Arc<Session>>,
        open: impl Future<Output = Result<Session, Error>>,
    ) -> Result<Arc<Session>, Error> {
        let tries = self.tries.load(Ordering::Acquire);
        let mut current = self.current.lock().await;
        if let Some(session) = &current.session
            && ended.is_none_or(|ended| !Arc::ptr_eq(ended, session))
        {
            return Ok(Arc::clone(session));
        }
        if self.tries.load(Ordering::Acquire) != tries
            && let Some(failure) = &current.failure
        {
            return Err(failure.clone());
        }
        current.session = None;
        let opened = open.await;
        self.tries.fetch_add(1, Ordering::AcqRel);
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                current.session = Some(Arc::clone(&session));
                current.failure = None;
                Ok(session)
            }
            Err(error) => {
                current.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Removes and returns the session, if one is open.
    pub(super) async fn take(&self) -> Option<Arc<Session>> {
        self.current.lock().await.session.take()
    }
}

/// The token that an array has rejected last.
#[derive(Debug, Default)]
pub(super) struct RefusedToken(Mutex<Option<(Token, Instant, String)>>);

impl RefusedToken {
    /// Fails with the array's message if the array has rejected this token a short while ago.
    pub(super) fn check(&self, token: &Token) -> Result<(), Kind> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((old, at, message)) if old == token && at.elapsed() < AFTER_REFUSAL => {
                Err(Kind::LoginRefused { message: message.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Records that the array has rejected a token.
    pub(super) fn note(&self, token: &Token, message: &str) {
        let noted = Some((token.clone(), Instant::now(), message.to_owned()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = noted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_reach_a_text() {
        let text = scrub("no T-123 for\nsession-9: T-123", &["T-123", "session-9", ""]);
        assert_eq!(text, "no [hidden] for [hidden]: [hidden]");
        assert_eq!(scrub(&"ä".repeat(400), &[]).chars().count(), 301);
        // A secret at the end of the window, however much the scrubbing shortens the text.
        let secret = "T-".to_owned() + &"9".repeat(1000);
        let all = scrub(&format!("{secret} ").repeat(1000), &[&secret]);
        assert!(!all.contains("T-") && all.starts_with("[hidden] [hidden]"), "{all}");
    }
}
