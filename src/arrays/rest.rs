//! Requests to an array: where it is, which version is spoken, how one is let in. Knows no resource but
//! `arrays`, which tells which array it is.

mod operation;
mod reply;

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::bounded::{Few, maybe, maybe_id};
use super::certificate_error::Distrust;
use super::error::{Error, Kind};
use super::fence::OnlyIf;
use super::identity::Identity;
use super::limits::{Gate, Pace};
use super::session::{Keys, Refused, Session, Sessions, scrub};
use super::token::TokenFile;
use super::trust::Trust;
use super::version::Version;
use crate::contract::management_url;
pub(super) use operation::Talk;
use reply::{Read, Reply, message, read, text, wait};

/// Largest answer that is read, in bytes: twice as large as a page of 1,000 objects with all their fields.
const LARGEST_ANSWER: usize = 8 << 20;
/// Largest answer to what is no list, and largest refusal, in bytes.
const LARGEST_WORD: usize = 64 << 10;
/// Longest text by which a list or a session goes on, in bytes.
const LONGEST_TOKEN: usize = 4096;
/// Objects on one page of a list.
const PAGE: &str = "1000";
/// How often an array is tried in one operation that cannot be reached or does not answer.
const TRIES: u32 = 4;

/// Where an array is, and how it is talked to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// How the storage document calls it.
    pub name: String,
    /// Host name or address of its management interface, with a port when it is not 443.
    pub management: String,
    /// Where its token is.
    pub token: TokenFile,
    /// What its certificate is held against.
    pub trust: Trust,
    /// Its id. When left out, the first one that is seen at the address counts.
    pub id: Option<String>,
    /// How hard it is asked.
    pub pace: Pace,
}

/// In what the two kinds of array differ before anything has been asked for.
#[derive(Debug)]
pub(super) struct Dialect {
    /// `FlashBlade` or `FlashArray`.
    pub(super) kind: &'static str,
    /// What `arrays` says of its operating environment.
    pub(super) os: &'static str,
    /// Key under which the versions are listed.
    pub(super) versions: &'static str,
    /// Whether log-in and log-out have the version in their path.
    pub(super) versioned_login: bool,
    /// Statuses that may mean that the session has ended.
    pub(super) ended: &'static [StatusCode],
    /// Oldest version that has what we need.
    pub(super) oldest: Version,
    /// Newest version that we are tested with.
    pub(super) newest: Version,
}

/// The REST API of one array.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) name: Arc<str>,
    endpoint: Endpoint,
    dialect: &'static Dialect,
    base: Url,
    gate: Gate,
    sessions: Sessions,
    refused: Refused,
    first_seen: OnceLock<String>,
}

/// A request.
#[derive(Debug, Clone)]
struct Call<'c> {
    method: Method,
    path: String,
    query: &'c [(&'c str, &'c str)],
    body: Option<&'c Json>,
    /// Largest good answer, in bytes.
    most: usize,
}

#[derive(serde::Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
struct Page<T> {
    items: Option<Few<T>>,
    continuation_token: Option<String>,
    more_items_remaining: Option<bool>,
}

#[derive(Debug, serde::Deserialize)]
struct ArrayItem {
    #[serde(default, deserialize_with = "maybe_id")]
    id: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    name: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    os: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    version: Option<String>,
}

impl Call<'_> {
    /// A request with neither query nor body, whose answer is no list.
    fn new(method: Method, path: String) -> Self {
        Self { method, path, query: &[], body: None, most: LARGEST_WORD }
    }
}

impl Rest {
    /// Returns the REST API at an endpoint; nothing is sent yet. Fails when the address is none.
    pub(super) fn new(endpoint: Endpoint, dialect: &'static Dialect) -> Result<Self, Error> {
        let name = Arc::from(endpoint.name.as_str());
        let base = management_url(&endpoint.management)
            .map_err(|cause| Error::new(&name, Kind::Unreachable { cause }))?;
        let gate = Gate::new(endpoint.pace);
        Ok(Self {
            name,
            endpoint,
            dialect,
            base,
            gate,
            sessions: Sessions::default(),
            refused: Refused::default(),
            first_seen: OnceLock::new(),
        })
    }

    /// Begins an operation.
    pub(super) fn talk<'t>(&'t self, only_if: &'t OnlyIf) -> Talk<'t> {
        Talk::new(self, only_if, self.gate.pace().patience)
    }

    /// Begins one that reads very much.
    pub(super) fn long_talk<'t>(&'t self, only_if: &'t OnlyIf) -> Talk<'t> {
        Talk::new(self, only_if, self.gate.pace().list)
    }

    /// Ends the session, if there is one. What the array says to that is of no use.
    pub(super) async fn log_out(&self) {
        if let Some(session) = self.sessions.take().await {
            self.close(&session).await;
        }
    }

    pub(super) fn error(&self, kind: Kind) -> Error {
        Error::new(&self.name, kind)
    }

    async fn close(&self, session: &Session) {
        let path = self.login_path(session.version, "logout");
        let call = Call::new(Method::POST, path);
        let _ = self.send(&session.http, Some(session), None, &call).await;
    }

    fn login_path(&self, version: Version, what: &str) -> String {
        if self.dialect.versioned_login {
            format!("/api/{version}/{what}")
        } else {
            format!("/api/{what}")
        }
    }

    fn client(&self, keys: &Keys) -> Result<reqwest::Client, String> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("pso-gen/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            // Neither another address nor a proxy shall ever see a token.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(self.gate.pace().connect)
            .timeout(self.gate.pace().request)
            .pool_max_idle_per_host(self.gate.pace().concurrency);
        let builder = self.endpoint.trust.apply(builder, keys.authorities.as_deref())?;
        builder.build().map_err(|error| text(&error))
    }

    async fn keys(&self) -> Result<Keys, Error> {
        let token = self.endpoint.token.read().await;
        let token = token.map_err(|cause| self.error(Kind::NoToken { cause }))?;
        let authorities = self.endpoint.trust.read().await;
        let authorities = authorities.map_err(|cause| self.error(Kind::Untrusted { cause }))?;
        Ok(Keys { token, authorities })
    }

    /// Sends a request once. Nobody else waits for it than the caller.
    async fn send(
        &self,
        http: &reqwest::Client,
        session: Option<&Session>,
        api_token: Option<&HeaderValue>,
        call: &Call<'_>,
    ) -> Reply {
        let mut url = self.base.clone();
        url.set_path(&call.path);
        let mut request = http.request(call.method.clone(), url).query(call.query);
        request = request.header("x-request-id", format!("{:032x}", fastrand::u128(..)));
        if let Some(session) = session {
            request = request.header("x-auth-token", session.header.clone());
        }
        if let Some(token) = api_token {
            request = request.header("api-token", token.clone());
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                return match Distrust::found_in(&error) {
                    Some(distrust) => Reply::Untrusted(distrust.told(&self.endpoint.trust)),
                    None => Reply::NotSent(text(&error)),
                };
            }
            Err(error) => return Reply::Lost(text(&error)),
        };
        let hidden = |text: &str| match session {
            Some(session) => session.scrub(text),
            None => scrub(text, &[api_token.and_then(|v| v.to_str().ok()).unwrap_or_default()]),
        };
        let status = response.status();
        let headers = response.headers().clone();
        let good = status == StatusCode::OK;
        let most = if good { call.most } else { LARGEST_WORD };
        let body = match read(response, most).await {
            Read::Whole(body) if good => return Reply::Good(headers, body),
            Read::Whole(body) => body,
            Read::TooLarge if good => {
                return Reply::TooLarge(format!("the answer has more than {most} bytes"));
            }
            // What it is about is said by its status.
            Read::TooLarge => Vec::new(),
            Read::Lost(cause) => return Reply::Lost(cause),
        };
        let message = hidden(&message(status, &body));
        let busy =
            status == StatusCode::INTERNAL_SERVER_ERROR && message.contains("Server is busy");
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Reply::Overloaded(wait(&headers, SystemTime::now()))
            }
            _ if busy => Reply::Overloaded(wait(&headers, SystemTime::now())),
            _ if self.dialect.ended.contains(&status) => Reply::Ended(message),
            _ if status.is_client_error() => Reply::Refused(status, message),
            _ => Reply::Lost(format!("status {}: {message}", status.as_u16())),
        }
    }

    /// Logs in: which versions there are, the token, which array it is.
    async fn open(&self, talk: Talk<'_>) -> Result<Session, Error> {
        let keys = self.keys().await?;
        self.refused.check(&keys.token).map_err(|kind| self.error(kind))?;
        let untrusted = |cause| self.error(Kind::Untrusted { cause });
        let http = self.client(&keys).map_err(untrusted)?;

        let path = "/api/api_version".to_owned();
        let call = Call::new(Method::GET, path);
        let (_, body) = talk.persist(&http, None, None, &call, true).await?.good(self)?;
        let version = self.negotiate(&body)?;

        let mut message = String::new();
        for _ in 0..TRIES {
            let header = self.log_in(talk, &http, version, &keys).await?;
            let mut session = Session::new(http.clone(), header, version, keys.clone());
            match self.identify(talk, &session).await? {
                Ok(identity) => {
                    session.identity = identity;
                    return Ok(session);
                }
                // Ended as soon as it had begun, as happens when an array restarts.
                Err(ended) => message = ended,
            }
        }
        Err(self.error(Kind::Forbidden { message }))
    }

    async fn log_in(
        &self,
        talk: Talk<'_>,
        http: &reqwest::Client,
        version: Version,
        keys: &Keys,
    ) -> Result<HeaderValue, Error> {
        let mut token = HeaderValue::from_str(keys.token.expose())
            .map_err(|error| self.error(Kind::NoToken { cause: error.to_string() }))?;
        token.set_sensitive(true);
        let path = self.login_path(version, "login");
        let call = Call::new(Method::POST, path);
        let (headers, _) = match talk.persist(http, None, Some(&token), &call, true).await? {
            Reply::Ended(message) | Reply::Refused(_, message) => {
                self.refused.note(&keys.token, &message);
                return Err(self.error(Kind::LoginRefused { message }));
            }
            other => other.good(self)?,
        };
        let header = headers.get("x-auth-token").filter(|token| token.len() <= LONGEST_TOKEN);
        let Some(mut header) = header.cloned() else {
            return Err(self.malformed("a log-in without x-auth-token"));
        };
        header.set_sensitive(true);
        Ok(header)
    }

    fn negotiate(&self, body: &[u8]) -> Result<Version, Error> {
        let offered: Json =
            serde_json::from_slice(body).map_err(|error| self.malformed(&error.to_string()))?;
        let Some(list) = offered[self.dialect.versions].as_array() else {
            // The key differs between the kinds, and is the first thing that tells them apart.
            return Err(self.error(Kind::Unsupported {
                needs: format!("at this address is no {}", self.dialect.kind),
            }));
        };
        let offered: Vec<String> =
            list.iter().filter_map(|version| version.as_str().map(str::to_owned)).collect();
        let Dialect { oldest, newest, .. } = *self.dialect;
        Version::negotiate(&offered, oldest, newest).ok_or_else(|| {
            let last = offered.last().map_or("none", String::as_str);
            let needs = format!("REST {oldest} to {newest} is needed, it has up to {last}");
            self.error(Kind::Unsupported { needs })
        })
    }

    /// Reads which array it is, and fails when it is not the one that it was. What the array says when
    /// the session has ended is no failure.
    async fn identify(
        &self,
        talk: Talk<'_>,
        session: &Session,
    ) -> Result<Result<Identity, String>, Error> {
        let path = format!("/api/{}/arrays", session.version);
        let call = Call::new(Method::GET, path);
        let reply = talk.persist(&session.http, Some(session), None, &call, true).await?;
        if let Reply::Ended(message) = reply {
            return Ok(Err(message));
        }
        let (_, body) = reply.good(self)?;
        let page: Page<ArrayItem> = self.parse(&body)?;
        let mut items = page.items.map(|items| items.0).unwrap_or_default();
        let Some(ArrayItem { id: Some(id), name, os, version }) = items.pop() else {
            return Err(self.malformed("`arrays` without an id"));
        };
        if os.as_ref().is_some_and(|os| os != self.dialect.os) {
            let needs = format!("this is no {}, but {}", self.dialect.kind, os.unwrap_or_default());
            return Err(self.error(Kind::Unsupported { needs }));
        }
        let expected = match &self.endpoint.id {
            Some(configured) => configured,
            None => self.first_seen.get_or_init(|| id.clone()),
        };
        if *expected != id {
            let expected = expected.clone();
            return Err(self.error(Kind::WrongArray { expected, found: id }));
        }
        Ok(Ok(Identity {
            id,
            name: name.unwrap_or_default(),
            purity: version.unwrap_or_default(),
            rest: session.version.to_string(),
        }))
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|error| self.malformed(&error.to_string()))
    }

    pub(super) fn malformed(&self, cause: &str) -> Error {
        self.error(Kind::Malformed { cause: cause.to_owned() })
    }
}

/// Returns a filter for objects of which a field is a text; `*` in it stands for any characters.
pub(super) fn quoted(field: &str, text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("{field}='{text}'")
}

/// Returns a filter for objects of which a field is one of some texts.
pub(super) fn one_of(field: &str, texts: &[String]) -> String {
    let texts = texts.iter().map(|text| quoted("", text).split_off(1));
    format!("{field}=({})", texts.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_nothing_more() {
        for good in ["fb1.example.com", "10.0.0.1", "10.0.0.1:8443", "[fd00::1]:443"] {
            assert_eq!(management_url(good).expect("an address").scheme(), "https", "{good}");
        }
        for bad in ["", "http://fb1", "user@fb1", "fb1/api", "fb1?x", "fb 1", "fb1:port"] {
            assert!(management_url(bad).is_err(), "{bad}");
        }
    }
}
