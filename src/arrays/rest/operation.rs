//! One operation on an array: its requests share a session and a deadline.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::reply::Reply;
use super::{Call, LARGEST_ANSWER, LONGEST_TOKEN, PAGE, Page, Rest, TRIES};
use crate::arrays::bounded::PageItems;
use crate::arrays::error::{Error, Kind};
use crate::arrays::fence::OnlyIf;
use crate::arrays::session::Session;
use crate::arrays::version::Version;

/// Limits of one list.
struct Budget {
    pages: usize,
    items: usize,
    bytes: usize,
}

/// For a lookup that returns one object at most.
const ONE: Budget = Budget { pages: 3, items: 2, bytes: LARGEST_ANSWER };
/// For lists that belong to one volume, or exist once on an array.
const FEW: Budget = Budget { pages: 500, items: 20_000, bytes: 64 << 20 };
/// For lists of all volumes: an array has 100,000 at most, of some 2 KiB each, and pages may be smaller than requested.
const MANY: Budget = Budget { pages: 5000, items: 150_000, bytes: 512 << 20 };

/// One operation on an array.
#[derive(Debug, Clone, Copy)]
pub(in crate::arrays) struct Operation<'r> {
    rest: &'r Rest,
    only_if: &'r OnlyIf,
    started: Instant,
    timeout: Duration,
}

impl<'r> Operation<'r> {
    /// Begins an operation.
    pub(super) fn new(rest: &'r Rest, only_if: &'r OnlyIf, timeout: Duration) -> Self {
        Self { rest, only_if, started: Instant::now(), timeout }
    }

    fn deadline(self) -> Instant {
        self.started + self.timeout
    }

    fn waited(self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the session. Logs in when there is none or it has ended, and when the files with token or authorities
    /// have changed.
    pub(in crate::arrays) async fn session(
        self,
        ended: Option<&Arc<Session>>,
    ) -> Result<Arc<Session>, Error> {
        let rest = self.rest;
        let session = rest.sessions.get(ended, rest.open(self)).await?;
        if !session.is_check_due(rest.limiter.limits().credential_check) {
            return Ok(session);
        }
        // A file that is just being replaced is checked again at the next interval.
        match rest.credentials().await {
            Ok(credentials) if credentials != session.credentials => {
                let new = rest.sessions.get(Some(&session), rest.open(self)).await?;
                rest.close(&session).await;
                Ok(new)
            }
            _ => Ok(session),
        }
    }

    /// Returns the REST version that is used with the array.
    pub(in crate::arrays) async fn version(self) -> Result<Version, Error> {
        Ok(self.session(None).await?.version)
    }

    /// Reads all items of a list, page by page. A list that ends early is an error and never a short list; an endless
    /// list is an error as well.
    pub(in crate::arrays) async fn list<T: DeserializeOwned>(
        self,
        resource: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, Error> {
        self.read(resource, query, &FEW, Some).await
    }

    /// Reads a list of all volumes in the same way. Keeps what `keep` returns for each item.
    pub(in crate::arrays) async fn all<T: DeserializeOwned, K>(
        self,
        resource: &str,
        query: &[(&str, &str)],
        keep: impl Fn(T) -> Option<K> + Send,
    ) -> Result<Vec<K>, Error>
    where
        K: Send,
    {
        self.read(resource, query, &MANY, keep).await
    }

    async fn read<T: DeserializeOwned, K>(
        self,
        resource: &str,
        query: &[(&str, &str)],
        budget: &Budget,
        keep: impl Fn(T) -> Option<K>,
    ) -> Result<Vec<K>, Error> {
        let more = |what: &str, limit: usize| {
            self.rest.malformed(&format!("`{resource}` does not end after {limit} {what}"))
        };
        let mut all = Vec::new();
        let (mut token, mut seen, mut bytes): (Option<String>, usize, usize) = (None, 0, 0);
        for _ in 0..budget.pages {
            let mut query = query.to_vec();
            query.push(("limit", PAGE));
            query.extend(token.as_deref().map(|token| ("continuation_token", token)));
            let body = self.ask(Method::GET, resource, &query, None).await?;
            bytes = bytes.saturating_add(body.len());
            let page: Page<T> = self.rest.parse(&body)?;
            drop(body);
            let Some(PageItems(items)) = page.items else {
                return Err(self.rest.malformed(&format!("`{resource}` has no items")));
            };
            let empty = items.is_empty();
            seen += items.len();
            all.extend(items.into_iter().filter_map(&keep));
            let next = page.continuation_token.filter(|token| !token.is_empty());
            if next.as_ref().is_some_and(|next| next.len() > LONGEST_TOKEN) {
                return Err(self.rest.malformed("the continuation token is too long"));
            }
            match (next, page.more_items_remaining) {
                (_, Some(false)) | (None, None) => return Ok(all),
                _ if seen >= budget.items => return Err(more("items", seen)),
                _ if bytes >= budget.bytes => return Err(more("bytes", bytes)),
                (Some(next), _) if !empty && token.as_ref() != Some(&next) => token = Some(next),
                _ => return Err(self.rest.malformed(&format!("`{resource}` ends early"))),
            }
        }
        Err(more("pages", budget.pages))
    }

    /// Reads the single item of a resource that is not a list.
    pub(in crate::arrays) async fn only<T: DeserializeOwned>(
        self,
        resource: &str,
    ) -> Result<T, Error> {
        let body = self.ask(Method::GET, resource, &[], None).await?;
        let page: Page<T> = self.rest.parse(&body)?;
        let item = page.items.and_then(|PageItems(mut items)| items.pop());
        item.ok_or_else(|| self.rest.malformed(&format!("`{resource}` has no items")))
    }

    /// Reads the single item of a list, if it exists.
    pub(in crate::arrays) async fn find<T: DeserializeOwned>(
        self,
        resource: &str,
        filter: &str,
    ) -> Result<Option<T>, Error> {
        let mut found = self.read(resource, &[("filter", filter)], &ONE, Some).await?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            more => {
                Err(self.rest.malformed(&format!("`{resource}` has {more} items for {filter}")))
            }
        }
    }

    /// Changes an object. Returns the items of the response, which describe the new state.
    pub(in crate::arrays) async fn change<T: DeserializeOwned>(
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
        // The change has been made; only its result is unknown.
        let page: Page<T> = serde_json::from_slice(&answer)
            .map_err(|error| self.rest.error(Kind::UnknownOutcome { cause: error.to_string() }))?;
        Ok(page.items.map(|PageItems(items)| items).unwrap_or_default())
    }

    /// Sends a request within a session. Logs in again and repeats it when the session has ended.
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
            // Another array at this address would report the object as missing, which says nothing about the expected
            // array.
            if let Some(expected) = &self.only_if.array_id
                && *expected != session.identity.id
            {
                let (expected, found) = (expected.clone(), session.identity.id.clone());
                return Err(self.rest.error(Kind::WrongArray { expected, found }));
            }
            let path = format!("/api/{}/{resource}", session.version);
            let call = Call { method: method.clone(), path, query, body, limit: LARGEST_ANSWER };
            match self.persist(&session.http, Some(&session), None, &call, reads).await? {
                Reply::Ended(message) => {
                    // A FlashBlade answers in the same way when a permission is missing; the session is still valid
                    // then.
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
                other => return other.success(self.rest).map(|(_, body)| body),
            }
        }
        Err(self.rest.error(Kind::Busy { waited: self.waited() }))
    }

    /// Sends a request until there is a usable response. A request that changes something is not repeated once it may
    /// have been carried out.
    pub(super) async fn persist(
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
            let Some(slot) = rest.limiter.acquire(self.deadline()).await else {
                return Err(rest.error(Kind::Busy { waited: self.waited() }));
            };
            // After all waiting and before each attempt. Log-in and log-out change nothing on the array.
            if session.is_some() && call.method != Method::GET {
                self.only_if.check().map_err(|fenced| rest.error(Kind::Fenced(fenced)))?;
            }
            let reply = rest.send(http, session, api_token, call);
            let reply = tokio::time::timeout_at(self.deadline(), reply).await;
            let reply = reply.unwrap_or_else(|_| Reply::Lost("no answer in time".to_owned()));
            drop(slot);
            let (cause, sent) = match reply {
                Reply::Overloaded(wait) => {
                    rest.limiter.back_off(wait);
                    continue;
                }
                // An immediate retry would give the same result.
                Reply::Untrusted(cause) => return Err(rest.error(Kind::Untrusted { cause })),
                Reply::TooLarge(cause) if !repeatable => {
                    return Err(rest.error(Kind::UnknownOutcome { cause }));
                }
                Reply::NotSent(cause) => (cause, false),
                Reply::Lost(cause) => (cause, true),
                answered => {
                    rest.limiter.reset();
                    return Ok(answered);
                }
            };
            if sent && !repeatable {
                return Err(rest.error(Kind::UnknownOutcome { cause }));
            }
            tries += 1;
            let pause = rest.limiter.limits().first_backoff.saturating_mul(1 << tries) / 4;
            if tries == TRIES || Instant::now() + pause > self.deadline() {
                let cause = format!("{}: {cause}", rest.endpoint.management);
                return Err(rest.error(Kind::Unreachable { cause }));
            }
            tokio::time::sleep(pause).await;
        }
    }
}
