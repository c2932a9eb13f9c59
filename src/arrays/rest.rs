//! REST client of one array: address, version, log-in and requests. The only resource that it knows is `arrays`, which
//! identifies the array.

mod operation;
mod reply;

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::bounded::{PageItems, maybe, maybe_id};
use super::certificate_error::TlsFailure;
use super::error::{Error, Kind};
use super::fence::OnlyIf;
use super::identity::Identity;
use super::limits::{RequestLimiter, RequestLimits};
use super::observer::{EndedOperation, Observer};
use super::session::{Credentials, RefusedToken, Session, Sessions, scrub};
use super::token::TokenFile;
use super::trust::Trust;
use super::version::Version;
use crate::contract::management_url;
pub(super) use operation::Operation;
use reply::{Read, Reply, message, read, text, wait};

/// Largest response that is read, in bytes: twice the size of a page of 1,000 objects with all their fields.
const LARGEST_ANSWER: usize = 8 << 20;
/// Largest response that is not a list, and largest error response, in bytes.
const LARGEST_WORD: usize = 64 << 10;
/// Longest continuation token or session token, in bytes.
const LONGEST_TOKEN: usize = 4096;
/// Objects on one page of a list.
const PAGE: &str = "1000";
/// Attempts in one operation while the array is unreachable or does not respond.
const TRIES: u32 = 4;

/// Address and credentials of an array.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The array's name in the storage document.
    pub name: String,
    /// Host name or address of its management interface, with a port when it is not 443.
    pub management: String,
    /// File with its token.
    pub token: TokenFile,
    /// Verification of its certificate.
    pub trust: Trust,
    /// Its id. When left out, the first id that is seen at the address counts.
    pub id: Option<String>,
    /// Limits and timeouts of requests.
    pub limits: RequestLimits,
    /// Receives the end of every operation.
    pub observer: Option<Arc<dyn Observer>>,
}

/// Differences between the REST APIs of the two kinds of array.
#[derive(Debug)]
pub(super) struct Dialect {
    /// `FlashBlade` or `FlashArray`.
    pub(super) kind: &'static str,
    /// Value of `os` in the resource `arrays`.
    pub(super) os: &'static str,
    /// Key of the list of versions.
    pub(super) versions: &'static str,
    /// Whether the paths of log-in and log-out contain the version.
    pub(super) versioned_login: bool,
    /// Statuses that may mean that the session has ended.
    pub(super) ended: &'static [StatusCode],
    /// Oldest supported version.
    pub(super) oldest: Version,
    /// Newest version that pso-gen is tested with.
    pub(super) newest: Version,
}

/// The REST API of one array.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) name: Arc<str>,
    endpoint: Endpoint,
    dialect: &'static Dialect,
    base: Url,
    limiter: RequestLimiter,
    sessions: Sessions,
    refused: RefusedToken,
    first_seen: OnceLock<String>,
}

/// A request.
#[derive(Debug, Clone)]
struct Call<'c> {
    method: Method,
    path: String,
    query: &'c [(&'c str, &'c str)],
    body: Option<&'c Json>,
    /// Largest successful response, in bytes.
    limit: usize,
}

#[derive(serde::Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
struct Page<T> {
    items: Option<PageItems<T>>,
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
    /// Creates a request with neither query nor body, whose response is not a list.
    fn new(method: Method, path: String) -> Self {
        Self { method, path, query: &[], body: None, limit: LARGEST_WORD }
    }
}

impl Rest {
    /// Returns the REST API at an endpoint without sending anything. Fails when the address is invalid.
    pub(super) fn new(endpoint: Endpoint, dialect: &'static Dialect) -> Result<Self, Error> {
        let name = Arc::from(endpoint.name.as_str());
        let base = management_url(&endpoint.management)
            .map_err(|cause| Error::new(&name, Kind::Unreachable { cause }))?;
        let limiter = RequestLimiter::new(endpoint.limits);
        Ok(Self {
            name,
            endpoint,
            dialect,
            base,
            limiter,
            sessions: Sessions::default(),
            refused: RefusedToken::default(),
            first_seen: OnceLock::new(),
        })
    }

    /// Begins an operation.
    pub(super) fn operation<'t>(&'t self, only_if: &'t OnlyIf) -> Operation<'t> {
        Operation::new(self, only_if, self.limiter.limits().operation_timeout)
    }

    /// Begins an operation that lists many objects.
    pub(super) fn long_operation<'t>(&'t self, only_if: &'t OnlyIf) -> Operation<'t> {
        Operation::new(self, only_if, self.limiter.limits().list_timeout)
    }

    /// Runs an operation and reports its end to the observer.
    pub(super) async fn observe<T>(
        &self,
        operation: &'static str,
        run: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let result = run.await;
        if let Some(observer) = &self.endpoint.observer {
            observer.ended(&EndedOperation {
                array: &self.name,
                name: operation,
                outcome: result.as_ref().map_or_else(Error::reason, |_| "ok"),
                duration: start.elapsed(),
            });
        }
        result
    }

    /// Ends the session, if one is open. Ignores the array's response.
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

    fn client(&self, credentials: &Credentials) -> Result<reqwest::Client, String> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("pso-gen/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            // Neither a redirect nor a proxy may get the token.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(self.limiter.limits().connect_timeout)
            .timeout(self.limiter.limits().request_timeout)
            .pool_max_idle_per_host(self.limiter.limits().concurrency);
        let builder = self.endpoint.trust.apply(builder, credentials.authorities.as_deref())?;
        builder.build().map_err(|error| text(&error))
    }

    async fn credentials(&self) -> Result<Credentials, Error> {
        let token = self.endpoint.token.read().await;
        let token = token.map_err(|cause| self.error(Kind::NoToken { cause }))?;
        let authorities = self.endpoint.trust.read().await;
        let authorities = authorities.map_err(|cause| self.error(Kind::Untrusted { cause }))?;
        Ok(Credentials { token, authorities })
    }

    /// Sends a request once.
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
                return match TlsFailure::found_in(&error) {
                    Some(failure) => Reply::Untrusted(failure.explanation(&self.endpoint.trust)),
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
        let is_success = status == StatusCode::OK;
        let limit = if is_success { call.limit } else { LARGEST_WORD };
        let body = match read(response, limit).await {
            Read::Whole(body) if is_success => return Reply::Success(headers, body),
            Read::Whole(body) => body,
            Read::TooLarge if is_success => {
                return Reply::TooLarge(format!("the answer has more than {limit} bytes"));
            }
            // The status alone identifies the error.
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

    /// Logs in: negotiates the version, sends the token, and identifies the array.
    async fn open(&self, operation: Operation<'_>) -> Result<Session, Error> {
        let credentials = self.credentials().await?;
        self.refused.check(&credentials.token).map_err(|kind| self.error(kind))?;
        let untrusted = |cause| self.error(Kind::Untrusted { cause });
        let http = self.client(&credentials).map_err(untrusted)?;

        let path = "/api/api_version".to_owned();
        let call = Call::new(Method::GET, path);
        let (_, body) = operation.persist(&http, None, None, &call, true).await?.success(self)?;
        let version = self.negotiate(&body)?;

        let mut message = String::new();
        for _ in 0..TRIES {
            let header = self.log_in(operation, &http, version, &credentials).await?;
            let mut session = Session::new(http.clone(), header, version, credentials.clone());
            match self.identify(operation, &session).await? {
                Ok(identity) => {
                    session.identity = identity;
                    return Ok(session);
                }
                // The session ended at once, which happens when an array restarts.
                Err(ended) => message = ended,
            }
        }
        Err(self.error(Kind::Forbidden { message }))
    }

    async fn log_in(
        &self,
        operation: Operation<'_>,
        http: &reqwest::Client,
        version: Version,
        credentials: &Credentials,
    ) -> Result<HeaderValue, Error> {
        let mut token = HeaderValue::from_str(credentials.token.expose())
            .map_err(|error| self.error(Kind::NoToken { cause: error.to_string() }))?;
        token.set_sensitive(true);
        let path = self.login_path(version, "login");
        let call = Call::new(Method::POST, path);
        let (headers, _) = match operation.persist(http, None, Some(&token), &call, true).await? {
            Reply::Ended(message) | Reply::Refused(_, message) => {
                self.refused.note(&credentials.token, &message);
                return Err(self.error(Kind::LoginRefused { message }));
            }
            other => other.success(self)?,
        };
        let header = headers.get("x-auth-token").filter(|token| token.len() <= LONGEST_TOKEN);
        let Some(mut header) = header.cloned() else {
            return Err(self.malformed("the log-in response has no x-auth-token"));
        };
        header.set_sensitive(true);
        Ok(header)
    }

    fn negotiate(&self, body: &[u8]) -> Result<Version, Error> {
        let offered: Json =
            serde_json::from_slice(body).map_err(|error| self.malformed(&error.to_string()))?;
        let Some(list) = offered[self.dialect.versions].as_array() else {
            // The key differs between the kinds of array, so a missing key means another kind.
            return Err(self.error(Kind::Unsupported {
                needs: format!("the system at this address is not a {}", self.dialect.kind),
            }));
        };
        let offered: Vec<String> =
            list.iter().filter_map(|version| version.as_str().map(str::to_owned)).collect();
        let Dialect { oldest, newest, .. } = *self.dialect;
        Version::negotiate(&offered, oldest, newest).ok_or_else(|| {
            let last = offered.last().map_or("none", String::as_str);
            let needs =
                format!("REST {oldest} to {newest} is required, and the array offers up to {last}");
            self.error(Kind::Unsupported { needs })
        })
    }

    /// Reads the identity of the array. Fails when it differs from the expected one. When the session has ended,
    /// returns the array's message as the inner error.
    async fn identify(
        &self,
        operation: Operation<'_>,
        session: &Session,
    ) -> Result<Result<Identity, String>, Error> {
        let path = format!("/api/{}/arrays", session.version);
        let call = Call::new(Method::GET, path);
        let reply = operation.persist(&session.http, Some(session), None, &call, true).await?;
        if let Reply::Ended(message) = reply {
            return Ok(Err(message));
        }
        let (_, body) = reply.success(self)?;
        let page: Page<ArrayItem> = self.parse(&body)?;
        let mut items = page.items.map(|items| items.0).unwrap_or_default();
        let Some(ArrayItem { id: Some(id), name, os, version }) = items.pop() else {
            return Err(self.malformed("`arrays` has no id"));
        };
        if os.as_ref().is_some_and(|os| os != self.dialect.os) {
            let needs =
                format!("this is not a {}, but {}", self.dialect.kind, os.unwrap_or_default());
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

/// Returns a filter for objects whose field equals a text; `*` in it matches any characters.
pub(super) fn quoted(field: &str, text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("{field}='{text}'")
}

/// Returns a filter for objects whose field equals one of several texts.
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
