//! Log-ins: the valid token and the lifetime of sessions.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::rest::{Answer, Refusal, Request};

/// The sessions of one array.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    /// The valid API token; `None` after it was revoked.
    api_token: Option<String>,
    /// Time of last use of each session, in milliseconds.
    last_used: HashMap<String, u64>,
    /// Idle timeout in milliseconds; 0 for none.
    idle_timeout: u64,
    /// Status for an ended session: 403 on a FlashBlade, 401 on a FlashArray.
    ended: u16,
    logins: u64,
}

impl Sessions {
    pub(super) fn new(api_token: &str, idle_timeout: u64, ended: u16) -> Self {
        let api_token = Some(api_token.to_owned());
        Self { api_token, last_used: HashMap::new(), idle_timeout, ended, logins: 0 }
    }

    /// Returns the number of log-ins.
    pub(super) fn logins(&self) -> u64 {
        self.logins
    }

    /// Ends all sessions, as a restart of the array's management does.
    pub(super) fn cut(&mut self) {
        self.last_used.clear();
    }

    /// Revokes the token, as when an administrator deletes it.
    pub(super) fn revoke(&mut self) {
        self.api_token = None;
        self.cut();
    }

    pub(super) fn idle_timeout(&self) -> u64 {
        self.idle_timeout
    }

    /// Logs a client in. Each kind of array has its own response body.
    pub(super) fn login(&mut self, request: &Request, now: u64, body: Json) -> Answer {
        if request.api_token.is_none() || request.api_token != self.api_token {
            return Refusal::whole(401, "Invalid API token.").into();
        }
        self.logins += 1;
        let session = format!("session-{}-{now}", self.logins);
        self.last_used.insert(session.clone(), now);
        Answer { status: 200, headers: vec![("x-auth-token", session)], body }
    }

    pub(super) fn logout(&mut self, request: &Request) -> Answer {
        if let Some(session) = &request.session {
            self.last_used.remove(session);
        }
        Answer::good(json!({}))
    }

    /// Accepts a request if its session is valid.
    pub(super) fn check(&mut self, request: &Request, now: u64) -> Result<(), Refusal> {
        let last = request.session.as_ref().and_then(|session| self.last_used.get_mut(session));
        match last {
            Some(last)
                if self.idle_timeout == 0 || now.saturating_sub(*last) <= self.idle_timeout =>
            {
                *last = now;
                Ok(())
            }
            Some(_) => Err(Refusal::whole(self.ended, "The session has expired.")),
            None => Err(Refusal::whole(self.ended, "Authentication required.")),
        }
    }
}
