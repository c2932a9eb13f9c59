//! Log-ins: which tokens are let in, and how long a session lasts.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::rest::{Answer, Refusal, Request};

/// The sessions of one array.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    /// The API token that is let in; none once it has been revoked.
    api_token: Option<String>,
    /// When each was used last, in milliseconds.
    last_used: HashMap<String, u64>,
    /// How long one may rest, in milliseconds; 0 is for ever.
    idle_timeout: u64,
    /// What an array answers to a session that has ended: a FlashBlade 403, a FlashArray 401.
    ended: u16,
    logins: u64,
}

impl Sessions {
    pub(super) fn new(api_token: &str, idle_timeout: u64, ended: u16) -> Self {
        let api_token = Some(api_token.to_owned());
        Self { api_token, last_used: HashMap::new(), idle_timeout, ended, logins: 0 }
    }

    /// Returns how often somebody has logged in.
    pub(super) fn logins(&self) -> u64 {
        self.logins
    }

    /// Ends all sessions, as a restart of the array's management does.
    pub(super) fn cut(&mut self) {
        self.last_used.clear();
    }

    /// Lets nobody in any more, as when an administrator deletes the token.
    pub(super) fn revoke(&mut self) {
        self.api_token = None;
        self.cut();
    }

    pub(super) fn idle_timeout(&self) -> u64 {
        self.idle_timeout
    }

    /// Lets somebody in. Each kind of array has a body of its own.
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

    /// Lets a request in whose session is good.
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
