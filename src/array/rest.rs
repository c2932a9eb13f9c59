//! Requests to an array: versions, sessions, overload, lost answers, pages. Knows no resource.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::error::{Error, Kind};
use super::pace::{Gate, Pace};
use super::session::{Keys, Refused, Session, Sessions, scrub};
use super::token::TokenFile;
use super::trust::Trust;
use super::version::Version;

/// Largest answer that is read, in bytes: a page of 1,000 objects is a tenth of it.
const LARGEST_ANSWER: usize = 32 << 20;
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

/// Which array it is, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its id, which outlives changes of name and address.
    pub id: String,
    /// Its own name.
    pub name: String,
    /// Version of its operating environment (Purity).
    pub purity: String,
    /// REST version that is used with it.
    pub rest: String,
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

/// One operation with an array: its requests share a deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk<'r> {
    rest: &'r Rest,
    started: Instant,
}

/// A request.
#[derive(Debug, Clone)]
struct Call<'c> {
    method: Method,
    path: String,
    query: &'c [(&'c str, &'c str)],
    body: Option<&'c Json>,
}

/// What came of a request.
#[derive(Debug)]
enum Reply {
    Good(HeaderMap, Vec<u8>),
    /// The session may have ended.
    Ended(String),
    Refused(StatusCode, String),
    Overloaded(Option<Duration>),
    /// Nothing has been sent.
    NotSent(String),
    /// Something has been sent, and no answer came, or one that says nothing of what was done.
    Lost(String),
}

#[derive(Debug, serde::Deserialize)]
struct Page<T> {
    items: Option<Vec<T>>,
    continuation_token: Option<String>,
    more_items_remaining: Option<bool>,
}

#[derive(Debug, serde::Deserialize)]
struct ArrayItem {
    id: Option<String>,
    name: Option<String>,
    os: Option<String>,
    version: Option<String>,
}

impl Rest {
    /// Returns the REST API at an endpoint; nothing is sent yet. Fails when the address is none.
    pub(super) fn new(endpoint: Endpoint, dialect: &'static Dialect) -> Result<Self, Error> {
        let name = Arc::from(endpoint.name.as_str());
        let base = base(&endpoint.management)
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
    pub(super) fn talk(&self) -> Talk<'_> {
        Talk { rest: self, started: Instant::now() }
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
        let call = Call { method: Method::POST, path, query: &[], body: None };
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
        builder.build().map_err(text)
    }

    async fn keys(&self) -> Result<Keys, Error> {
        let token = self.endpoint.token.read().await;
        let token = token.map_err(|cause| self.error(Kind::NoToken { cause }))?;
        let authorities = self.endpoint.trust.read().await;
        let authorities = authorities.map_err(|cause| self.error(Kind::Unreachable { cause }))?;
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
                return Reply::NotSent(text(error));
            }
            Err(error) => return Reply::Lost(text(error)),
        };
        let hidden = |text: &str| match session {
            Some(session) => session.scrub(text),
            None => scrub(text, &[api_token.and_then(|v| v.to_str().ok()).unwrap_or_default()]),
        };
        let status = response.status();
        let headers = response.headers().clone();
        let body = match read(response).await {
            Ok(body) => body,
            Err(cause) => return Reply::Lost(cause),
        };
        if status == StatusCode::OK {
            return Reply::Good(headers, body);
        }
        let message = hidden(&message(status, &body));
        let busy =
            status == StatusCode::INTERNAL_SERVER_ERROR && message.contains("Server is busy");
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Reply::Overloaded(wait(&headers))
            }
            _ if busy => Reply::Overloaded(wait(&headers)),
            _ if self.dialect.ended.contains(&status) => Reply::Ended(message),
            _ if status.is_client_error() => Reply::Refused(status, message),
            _ => Reply::Lost(format!("status {}: {message}", status.as_u16())),
        }
    }

    /// Logs in: which versions there are, the token, which array it is.
    async fn open(&self, talk: Talk<'_>) -> Result<Session, Error> {
        let keys = self.keys().await?;
        self.refused.check(&keys.token).map_err(|kind| self.error(kind))?;
        let unreachable = |cause| self.error(Kind::Unreachable { cause });
        let http = self.client(&keys).map_err(unreachable)?;

        let path = "/api/api_version".to_owned();
        let call = Call { method: Method::GET, path, query: &[], body: None };
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
        let call = Call { method: Method::POST, path, query: &[], body: None };
        let (headers, _) = match talk.persist(http, None, Some(&token), &call, true).await? {
            Reply::Ended(message) | Reply::Refused(_, message) => {
                self.refused.note(&keys.token, &message);
                return Err(self.error(Kind::LoginRefused { message }));
            }
            other => other.good(self)?,
        };
        let Some(mut header) = headers.get("x-auth-token").cloned() else {
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
        let call = Call { method: Method::GET, path, query: &[], body: None };
        let reply = talk.persist(&session.http, Some(session), None, &call, true).await?;
        if let Reply::Ended(message) = reply {
            return Ok(Err(message));
        }
        let (_, body) = reply.good(self)?;
        let page: Page<ArrayItem> = self.parse(&body)?;
        let mut items = page.items.unwrap_or_default();
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

impl Talk<'_> {
    fn deadline(self) -> Instant {
        self.started + self.rest.gate.pace().patience
    }

    fn waited(self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the session; logs in when there is none or it has ended, and when the files with token
    /// or authorities have changed.
    pub(super) async fn session(self, ended: Option<&Arc<Session>>) -> Result<Arc<Session>, Error> {
        let rest = self.rest;
        let session = rest.sessions.get(ended, rest.open(self)).await?;
        if !session.is_to_be_looked_at(rest.gate.pace().look) {
            return Ok(session);
        }
        // A file that is just being replaced is looked at again next time.
        match rest.keys().await {
            Ok(keys) if keys != session.keys => {
                let new = rest.sessions.get(Some(&session), rest.open(self)).await?;
                rest.close(&session).await;
                Ok(new)
            }
            _ => Ok(session),
        }
    }

    /// Returns the version that is used.
    pub(super) async fn version(self) -> Result<Version, Error> {
        Ok(self.session(None).await?.version)
    }

    /// Reads all items of a list, page by page. A list that ends early is an error, never a short list.
    pub(super) async fn list<T: DeserializeOwned>(
        self,
        resource: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", PAGE));
            query.extend(token.as_deref().map(|token| ("continuation_token", token)));
            let body = self.ask(Method::GET, resource, &query, None).await?;
            let page: Page<T> = self.rest.parse(&body)?;
            let Some(items) = page.items else {
                return Err(self.rest.malformed(&format!("`{resource}` without items")));
            };
            let empty = items.is_empty();
            all.extend(items);
            let next = page.continuation_token.filter(|token| !token.is_empty());
            match (next, page.more_items_remaining) {
                (_, Some(false)) | (None, None) => return Ok(all),
                (Some(next), _) if !empty && token.as_ref() != Some(&next) => token = Some(next),
                _ => return Err(self.rest.malformed(&format!("`{resource}` ends before its end"))),
            }
        }
    }

    /// Reads the one item of a resource that is no list.
    pub(super) async fn only<T: DeserializeOwned>(self, resource: &str) -> Result<T, Error> {
        let body = self.ask(Method::GET, resource, &[], None).await?;
        let page: Page<T> = self.rest.parse(&body)?;
        let item = page.items.and_then(|mut items| items.pop());
        item.ok_or_else(|| self.rest.malformed(&format!("`{resource}` without items")))
    }

    /// Reads the one item of a list, if it is there.
    pub(super) async fn find<T: DeserializeOwned>(
        self,
        resource: &str,
        filter: &str,
    ) -> Result<Option<T>, Error> {
        let mut found = self.list(resource, &[("filter", filter)]).await?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            more => Err(self.rest.malformed(&format!("{more} items of `{resource}` for {filter}"))),
        }
    }

    /// Changes something. Returns the items of the answer, which are what is there then.
    pub(super) async fn change<T: DeserializeOwned>(
        self,
        method: Method,
        resource: &str,
        query: &[(&str, &str)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Vec<T>, Error> {
        let body = body.map(serde_json::to_value).transpose();
        let body = body.map_err(|error| self.rest.malformed(&error.to_string()))?;
        let answer = self.ask(method, resource, query, body.as_ref()).await?;
        if answer.is_empty() {
            return Ok(Vec::new());
        }
        // It has been done; only what it looks like is not known.
        let page: Page<T> = serde_json::from_slice(&answer)
            .map_err(|error| self.rest.error(Kind::UnknownOutcome { cause: error.to_string() }))?;
        Ok(page.items.unwrap_or_default())
    }

    /// Sends a request within a session, and again when that has ended.
    async fn ask(
        self,
        method: Method,
        resource: &str,
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Vec<u8>, Error> {
        let reads = method == Method::GET;
        let mut session = self.session(None).await?;
        for _ in 0..TRIES {
            let path = format!("/api/{}/{resource}", session.version);
            let call = Call { method: method.clone(), path, query, body };
            match self.persist(&session.http, Some(&session), None, &call, reads).await? {
                Reply::Ended(message) => {
                    // A FlashBlade says the same to those who may not: then the session is still good.
                    if self.rest.dialect.ended.contains(&StatusCode::FORBIDDEN)
                        && self.rest.identify(self, &session).await?.is_ok()
                    {
                        return Err(self.rest.error(Kind::Forbidden { message }));
                    }
                    session = self.session(Some(&session)).await?;
                }
                Reply::Refused(StatusCode::FORBIDDEN, message) => {
                    return Err(self.rest.error(Kind::Forbidden { message }));
                }
                other => return other.good(self.rest).map(|(_, body)| body),
            }
        }
        Err(self.rest.error(Kind::Busy { waited: self.waited() }))
    }

    /// Sends a request until there is an answer to go by. What changes something is not sent again once
    /// it may have been done.
    async fn persist(
        self,
        http: &reqwest::Client,
        session: Option<&Session>,
        api_token: Option<&HeaderValue>,
        call: &Call<'_>,
        repeatable: bool,
    ) -> Result<Reply, Error> {
        let rest = self.rest;
        let mut tries = 0;
        loop {
            let Some(place) = rest.gate.enter(self.deadline()).await else {
                return Err(rest.error(Kind::Busy { waited: self.waited() }));
            };
            let reply = rest.send(http, session, api_token, call).await;
            drop(place);
            let (cause, sent) = match reply {
                Reply::Overloaded(wait) => {
                    rest.gate.shut(wait);
                    continue;
                }
                Reply::NotSent(cause) => (cause, false),
                Reply::Lost(cause) => (cause, true),
                answered => {
                    rest.gate.good();
                    return Ok(answered);
                }
            };
            if sent && !repeatable {
                return Err(rest.error(Kind::UnknownOutcome { cause }));
            }
            tries += 1;
            let pause = rest.gate.pace().first_wait.saturating_mul(1 << tries) / 4;
            if tries == TRIES || Instant::now() + pause > self.deadline() {
                return Err(rest.error(Kind::Unreachable { cause }));
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl Reply {
    /// Returns a good answer, or the error that another one is.
    fn good(self, rest: &Rest) -> Result<(HeaderMap, Vec<u8>), Error> {
        match self {
            Self::Good(headers, body) => Ok((headers, body)),
            Self::Refused(status, message) => {
                Err(rest.error(Kind::Refused { status: status.as_u16(), message }))
            }
            Self::Ended(message) => Err(rest.error(Kind::Forbidden { message })),
            other => Err(rest.malformed(&other.to_string())),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good(..) => "a good answer",
            Self::Ended(_) => "an ended session",
            Self::Refused(..) => "a refusal",
            Self::Overloaded(_) => "overload",
            Self::NotSent(_) => "no connection",
            Self::Lost(_) => "no answer",
        })
    }
}

/// Returns whether a text is a host name or address, with or without a port.
pub fn is_address(management: &str) -> bool {
    base(management).is_ok()
}

/// Returns the address that a host name with or without a port means. Always https.
fn base(management: &str) -> Result<Url, String> {
    let wrong = |why: &str| format!("{management:?} is no address of an array: {why}");
    if management.contains(['/', '@', '?', '#', '\\']) || management.contains(char::is_whitespace) {
        return Err(wrong("write a host name or an address, and `:port` when it is not 443"));
    }
    Url::parse(&format!("https://{management}")).map_err(|error| wrong(&error.to_string()))
}

/// Returns a filter for objects of which a field is a text; `*` in it stands for any characters.
pub(super) fn quoted(field: &str, text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("{field}='{text}'")
}

/// Reads a body, up to the largest that makes sense.
async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(text)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err("the answer is too large".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Returns what an array says for people: `errors` of the REST service, `message` of the gateway.
fn message(status: StatusCode, body: &[u8]) -> String {
    let body: Json = serde_json::from_slice(body).unwrap_or_default();
    let of = |error: &Json| {
        let message = error["message"].as_str()?;
        let context = error["context"].as_str().filter(|context| !context.is_empty());
        Some(context.map_or(message.to_owned(), |context| format!("{context}: {message}")))
    };
    let errors = body["errors"].as_array().into_iter().flatten().filter_map(of);
    let errors: Vec<String> = errors.chain(of(&body)).collect();
    if errors.is_empty() { format!("status {status}") } else { errors.join("; ") }
}

/// Returns how long an array asks to be left alone: `Retry-After` in seconds or as a date, else
/// `RateLimit-Reset` in seconds.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text: &str| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
    };
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
    let after = header("retry-after").and_then(|text| seconds(text).or_else(|| date(text)));
    after.or_else(|| seconds(header("ratelimit-reset")?))
}

/// Returns an error with what it comes from, and without the address, which says nothing new.
fn text(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    scrub(&text, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_nothing_more() {
        for good in ["fb1.example.com", "10.0.0.1", "10.0.0.1:8443", "[fd00::1]:443"] {
            assert_eq!(base(good).expect("an address").scheme(), "https", "{good}");
        }
        for bad in ["", "http://fb1", "user@fb1", "fb1/api", "fb1?x", "fb 1", "fb1:port"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arrays_say_in_three_ways_how_long_to_wait() {
        let headers = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect("a header");
            HeaderMap::from_iter([(reqwest::header::HeaderName::from_static(name), value)])
        };
        assert_eq!(wait(&headers("retry-after", "7")), Some(Duration::from_secs(7)));
        assert_eq!(wait(&headers("ratelimit-reset", "3")), Some(Duration::from_secs(3)));
        let soon = std::time::SystemTime::now() + Duration::from_secs(60);
        let date = wait(&headers("retry-after", &httpdate::fmt_http_date(soon)));
        assert!(date.is_some_and(|wait| (55..=60).contains(&wait.as_secs())), "{date:?}");
        assert_eq!(wait(&headers("retry-after", "soon")), None);
    }

    #[test]
    fn what_an_array_says_is_found_in_either_form() {
        let status = StatusCode::BAD_REQUEST;
        let errors = br#"{"errors":[{"context":"v1","message":"Volume already exists."},{"context":null,"message":"No."}]}"#;
        assert_eq!(message(status, errors), "v1: Volume already exists.; No.");
        assert_eq!(message(status, br#"{"message":"Too many."}"#), "Too many.");
        assert_eq!(message(status, b"<html>"), "status 400 Bad Request");
    }
}
