//! What comes of one request: an answer, a refusal, or nothing that says what was done.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde_json::Value as Json;

use super::Rest;
use crate::arrays::error::{Error, Kind};
use crate::arrays::session::scrub;
use crate::sanitize;

/// Most errors of one refusal that are told.
const ERRORS: usize = 8;

/// What came of a request.
#[derive(Debug)]
pub(super) enum Reply {
    Good(HeaderMap, Vec<u8>),
    /// The session may have ended.
    Ended(String),
    Refused(StatusCode, String),
    Overloaded(Option<Duration>),
    /// Nothing has been sent.
    NotSent(String),
    /// Nothing has been sent, because who answers does not prove to be the array.
    Untrusted(String),
    /// It has been done, and the answer is too large to be read.
    TooLarge(String),
    /// Something has been sent, and no answer came, or one that says nothing of what was done.
    Lost(String),
}

impl Reply {
    /// Returns a good answer, or the error that another one is.
    pub(super) fn good(self, rest: &Rest) -> Result<(HeaderMap, Vec<u8>), Error> {
        match self {
            Self::Good(headers, body) => Ok((headers, body)),
            Self::Refused(status, message) => {
                Err(rest.error(Kind::Refused { status: status.as_u16(), message }))
            }
            Self::Ended(message) => Err(rest.error(Kind::Forbidden { message })),
            Self::Untrusted(cause) => Err(rest.error(Kind::Untrusted { cause })),
            Self::TooLarge(cause) => Err(rest.malformed(&cause)),
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
            Self::Untrusted(_) => "no trust",
            Self::TooLarge(_) => "too large an answer",
            Self::Lost(_) => "no answer",
        })
    }
}

/// A body that was read.
#[derive(Debug)]
pub(super) enum Read {
    Whole(Vec<u8>),
    TooLarge,
    Lost(String),
}

/// Reads a body of at most so many bytes. What is larger is not read on: the connection ends.
pub(super) async fn read(mut response: Response, most: usize) -> Read {
    if response.content_length().is_some_and(|length| length > most as u64) {
        return Read::TooLarge;
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > most => return Read::TooLarge,
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Read::Whole(body),
            Err(error) => return Read::Lost(text(&error)),
        }
    }
}

/// Returns what an array says for people: `errors` of the REST service, `message` of the gateway.
pub(super) fn message(status: StatusCode, body: &[u8]) -> String {
    let body: Json = serde_json::from_slice(body).unwrap_or_default();
    let of = |error: &Json| {
        let message = error["message"].as_str()?;
        let context = error["context"].as_str().filter(|context| !context.is_empty());
        Some(context.map_or(message.to_owned(), |context| format!("{context}: {message}")))
    };
    let errors = body["errors"].as_array().into_iter().flatten().filter_map(of);
    let errors: Vec<String> = errors.chain(of(&body)).take(ERRORS).collect();
    if errors.is_empty() { format!("status {status}") } else { errors.join("; ") }
}

/// Returns how long an array asks to be left alone: `Retry-After` in seconds or as a date, else
/// `RateLimit-Reset` in seconds.
pub(super) fn wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text: &str| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    };
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
    let after = header("retry-after").and_then(|text| seconds(text).or_else(|| date(text)));
    after.or_else(|| seconds(header("ratelimit-reset")?))
}

/// Returns an error with what it comes from, and without the address, which says nothing new.
pub(super) fn text(error: &reqwest::Error) -> String {
    // Its own text has the address.
    let mut text = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_builder() {
        "the request cannot be made"
    } else {
        "no answer"
    }
    .to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    scrub(&sanitize::without_links(&text), &[])
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn arrays_say_in_three_ways_how_long_to_wait() {
        let headers = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect("a header");
            HeaderMap::from_iter([(reqwest::header::HeaderName::from_static(name), value)])
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let wait = |headers: &HeaderMap| wait(headers, now);
        assert_eq!(wait(&headers("retry-after", "7")), Some(Duration::from_secs(7)));
        assert_eq!(wait(&headers("ratelimit-reset", "3")), Some(Duration::from_secs(3)));
        let minute = now + Duration::from_secs(60);
        let date = |at| wait(&headers("retry-after", &httpdate::fmt_http_date(at)));
        assert_eq!(date(minute), Some(Duration::from_secs(60)));
        assert_eq!(date(now - Duration::from_secs(60)), Some(Duration::ZERO), "it has passed");
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
