//! The outcome of one request: a success, a refusal, or a failure that leaves the outcome open.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde_json::Value as Json;

use super::Rest;
use crate::arrays::error::{Error, Kind};
use crate::arrays::session::scrub;
use crate::sanitize;

/// Largest number of errors of one response that are reported.
const ERRORS: usize = 8;

/// The outcome of a request.
#[derive(Debug)]
pub(super) enum Reply {
    Success(HeaderMap, Vec<u8>),
    /// The session may have ended.
    Ended(String),
    Refused(StatusCode, String),
    Overloaded(Option<Duration>),
    /// Nothing has been sent.
    NotSent(String),
    /// Nothing has been sent, because the server does not prove that it is the array.
    Untrusted(String),
    /// The request has been carried out, but the response is too large to read.
    TooLarge(String),
    /// The request has been sent, but there was no response, or one that does not show whether it was carried out.
    Lost(String),
}

impl Reply {
    /// Returns a successful response, or the error of another outcome.
    pub(super) fn success(self, rest: &Rest) -> Result<(HeaderMap, Vec<u8>), Error> {
        match self {
            Self::Success(headers, body) => Ok((headers, body)),
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
            Self::Success(..) => "a successful response",
            Self::Ended(_) => "the session has ended",
            Self::Refused(..) => "the request was refused",
            Self::Overloaded(_) => "the array is overloaded",
            Self::NotSent(_) => "no connection",
            Self::Untrusted(_) => "the array is not trusted",
            Self::TooLarge(_) => "the response is too large",
            Self::Lost(_) => "no response",
        })
    }
}

/// A response body.
#[derive(Debug)]
pub(super) enum Read {
    Whole(Vec<u8>),
    TooLarge,
    Lost(String),
}

/// Reads a body of at most `limit` bytes. Closes the connection when it is larger.
pub(super) async fn read(mut response: Response, limit: usize) -> Read {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Read::TooLarge;
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Read::TooLarge,
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Read::Whole(body),
            Err(error) => return Read::Lost(text(&error)),
        }
    }
}

/// Returns an array's error message: `errors` of the REST service, or `message` of the gateway.
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

/// Returns the pause that an array requests: `Retry-After` in seconds or as a date, else `RateLimit-Reset` in seconds.
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

/// Returns an error with its sources, but without the URL, which the caller knows.
pub(super) fn text(error: &reqwest::Error) -> String {
    // The error's own text contains the URL.
    let mut text = if error.is_timeout() {
        "no response in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_builder() {
        "the request is invalid"
    } else {
        "no response"
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
