//! One session with an array for all who talk to it: whoever finds it ended logs in, the others wait.

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

/// How long a token that was refused is not tried again: arrays lock users out.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// A session, and what was learned when it began.
#[derive(Debug)]
pub(super) struct Session {
    /// Sends requests, with the authorities that were in the file then.
    pub(super) http: reqwest::Client,
    /// Header `x-auth-token`. Marked sensitive, so that `Debug` does not show it.
    pub(super) header: HeaderValue,
    /// The version that all requests have in their path.
    pub(super) version: Version,
    /// Which array it is.
    pub(super) identity: Identity,
    /// What the files held.
    pub(super) keys: Keys,
    looked: Mutex<Instant>,
}

/// What is needed to reach an array and be let in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Keys {
    /// The token.
    pub(super) token: Token,
    /// The file of authorities.
    pub(super) authorities: Option<Vec<u8>>,
}

impl Session {
    pub(super) fn new(
        http: reqwest::Client,
        header: HeaderValue,
        version: Version,
        keys: Keys,
    ) -> Self {
        let identity = Identity::default();
        Self { http, header, version, identity, keys, looked: Mutex::new(Instant::now()) }
    }

    /// Returns whether it is time to look at the files again; true for one caller each time.
    pub(super) fn is_to_be_looked_at(&self, every: Duration) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.elapsed() >= every;
        if due {
            *looked = Instant::now();
        }
        due
    }

    /// Returns a text without what nobody may see, in case an array repeats it.
    pub(super) fn scrub(&self, text: &str) -> String {
        scrub(text, &[self.keys.token.expose(), self.header.to_str().unwrap_or_default()])
    }
}

/// Returns a text without some secrets, on one line, and not too long. Of one that is much longer, only the
/// beginning is looked at.
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
            // What was cut may be the rest of a secret.
            let cut = (1..secret.len()).rev().find(|cut| {
                secret.get(..*cut).is_some_and(|beginning| window.ends_with(beginning))
            });
            window.truncate(window.len() - cut.unwrap_or_default());
        }
    }
    sanitize::line(&window, sanitize::LONGEST)
}

/// The session of an array, if there is one.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    now: tokio::sync::Mutex<Now>,
    /// Counts log-ins that were tried, so that those who waited for one share what came of it.
    tries: AtomicU64,
}

#[derive(Debug, Default)]
struct Now {
    session: Option<Arc<Session>>,
    failure: Option<Error>,
}

impl Sessions {
    /// Returns the session; opens one when there is none, or only one that has ended.
    pub(super) async fn get(
        &self,
        ended: Option<&Arc<Session>>,
        open: impl Future<Output = Result<Session, Error>>,
    ) -> Result<Arc<Session>, Error> {
        let tries = self.tries.load(Ordering::Acquire);
        let mut now = self.now.lock().await;
        if let Some(session) = &now.session
            && ended.is_none_or(|ended| !Arc::ptr_eq(ended, session))
        {
            return Ok(Arc::clone(session));
        }
        if self.tries.load(Ordering::Acquire) != tries
            && let Some(failure) = &now.failure
        {
            return Err(failure.clone());
        }
        now.session = None;
        let opened = open.await;
        self.tries.fetch_add(1, Ordering::AcqRel);
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                now.session = Some(Arc::clone(&session));
                now.failure = None;
                Ok(session)
            }
            Err(error) => {
                now.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Takes the session away, if there is one.
    pub(super) async fn take(&self) -> Option<Arc<Session>> {
        self.now.lock().await.session.take()
    }
}

/// Tokens that an array has refused.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Option<(Token, Instant, String)>>);

impl Refused {
    /// Fails with what the array said, when it has refused this very token a short while ago.
    pub(super) fn check(&self, token: &Token) -> Result<(), Kind> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*refused {
            Some((old, at, message)) if old == token && at.elapsed() < AFTER_REFUSAL => {
                Err(Kind::LoginRefused { message: message.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Notes that the array has refused a token.
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
        // A secret at the end of what is looked at, however much becomes short by hiding.
        let secret = "T-".to_owned() + &"9".repeat(1000);
        let all = scrub(&format!("{secret} ").repeat(1000), &[&secret]);
        assert!(!all.contains("T-") && all.starts_with("[hidden] [hidden]"), "{all}");
    }
}
