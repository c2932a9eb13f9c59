//! Responses that no real array sends, to test that clients limit their reads and show no control characters; and
//! the responses of an array under load. Knows no array: it changes an array's responses.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value as Json, json};

use super::{Answer, Fault, Request};

/// Size of the pieces of a large body, in bytes.
const CHUNK: u64 = 64 << 10;
/// Clears the screen, begins a line that looks like output of `pso-gen status`, changes the direction of text, and
/// clears the screen again with a C1 control.
pub(super) const STEERING: &str = "\u{1b}[2J\nwrong: nothing\n  do: rm -rf\u{202e}\u{9b}2J";

/// Returns the request that the array gets, for a fault that hides the requested page from it.
pub(super) fn asked(request: &Request, fault: Option<Fault>) -> Request {
    let mut request = request.clone();
    if fault == Some(Fault::EndlessPages) {
        request.query.remove("continuation_token");
    }
    request
}

/// Returns the response that is sent if a fault replaces it. `sent` counts the bytes of large bodies.
pub(super) fn faulty_response(
    fault: Fault,
    answer: &Answer,
    sent: &Arc<AtomicU64>,
) -> Option<Response> {
    let mut body = answer.body.clone();
    let error = |message: &str| json!({"errors": [{"context": "prod-pvc-1", "message": message}]});
    match fault {
        Fault::Mounted => {
            for item in body["items"].as_array_mut().into_iter().flatten() {
                if item.get("others_per_sec").is_some() {
                    item["others_per_sec"] = json!(2.5);
                }
            }
        }
        Fault::EndlessPages => {
            body["continuation_token"] = format!("{:032x}", fastrand::u128(..)).into();
            body["more_items_remaining"] = true.into();
        }
        Fault::LongNames { bytes } => {
            let long = "n".repeat(usize::try_from(bytes).unwrap_or(usize::MAX));
            names(&mut body, |name| format!("{name}{long}"));
        }
        Fault::SteeringNames => names(&mut body, |name| format!("{name}{STEERING}")),
        Fault::SteeringError => {
            let status = StatusCode::BAD_REQUEST;
            return Some((status, axum::Json(error(STEERING))).into_response());
        }
        Fault::LargeError { bytes } => {
            let begin = r#"{"errors": [{"message": ""#;
            return Some(large(StatusCode::BAD_REQUEST, begin, bytes, "x", r#""}]}"#, sent));
        }
        Fault::LargeAnswer { bytes } => {
            let text = body.to_string();
            let (begin, end) = text.split_at(text.len().saturating_sub(1));
            return Some(large(StatusCode::OK, begin, bytes, " ", end, sent));
        }
        Fault::Drip { delay } => return Some(drip(Duration::from_millis(delay))),
        Fault::Compressed => {
            let headers =
                [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
            return Some((headers, gzip(body.to_string().as_bytes())).into_response());
        }
        _ => return None,
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    Some((status, axum::Json(body)).into_response())
}

/// Changes the names of all items.
fn names(body: &mut Json, change: impl Fn(&str) -> String) {
    for item in body["items"].as_array_mut().into_iter().flatten() {
        if let Some(name) = item["name"].as_str() {
            item["name"] = change(name).into();
        }
    }
}

/// Returns a body of at least so many bytes, without a content length.
fn large(
    status: StatusCode,
    begin: &str,
    bytes: u64,
    fill: &str,
    end: &str,
    sent: &Arc<AtomicU64>,
) -> Response {
    let fill = Bytes::from(fill.repeat(usize::try_from(CHUNK).unwrap_or(1)));
    let chunks = std::iter::once(Bytes::copy_from_slice(begin.as_bytes()))
        .chain((0..bytes.div_ceil(CHUNK)).map(move |_| fill.clone()))
        .chain([Bytes::copy_from_slice(end.as_bytes())]);
    let sent = Arc::clone(sent);
    let chunks_sent = chunks.map(move |chunk| {
        sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        Ok::<_, Infallible>(chunk)
    });
    (status, Body::from_stream(stream::iter(chunks_sent))).into_response()
}

/// Returns an endless body that is sent byte by byte.
fn drip(delay: Duration) -> Response {
    let bytes = stream::unfold((), move |()| async move {
        tokio::time::sleep(delay).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
    });
    Body::from_stream(bytes).into_response()
}

/// Returns bytes as gzip without compression (RFC 1952, RFC 1951 3.2.4).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks = bytes.chunks(usize::from(u16::MAX));
    let last = blocks.len().saturating_sub(1);
    for (index, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        packed.push(u8::from(index == last));
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    let checksum = bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
        })
    });
    packed.extend((!checksum).to_le_bytes());
    packed.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_what_gzip_reads() {
        // `printf hello | gzip -n -1`, except for the block, which is not compressed: checksum and length are the same.
        let packed = gzip(b"hello");
        assert_eq!(packed[packed.len() - 8..], [0x86, 0xa6, 0x10, 0x36, 5, 0, 0, 0]);
        assert_eq!(packed[10..15], [1, 5, 0, 0xfa, 0xff]);
    }
}
