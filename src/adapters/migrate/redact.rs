//! Parses an old configuration file, and returns a text of it for display in which possible tokens are masked with
//! stars.

use super::wrap::Unwrap;
use crate::compiler::diagnostic::{Diagnostic, Place, SourceId, Sources, redacted};
use crate::compiler::yaml::{self, Node};

/// A word of at least this length that contains a digit may be a token, or data of a Secret.
const LONG: usize = 30;

/// An old file.
#[derive(Debug)]
pub struct RedactedFile {
    /// The text for display: as long as the file in bytes, without tokens.
    pub sources: Sources,
    /// Its contents: the values of the chart, or `pure.json`.
    pub values: Result<Node, Vec<Diagnostic>>,
    /// Diagnostics about parts of the file that were ignored.
    pub warnings: Vec<Diagnostic>,
}

/// Reads values of the chart, `pure.json`, or an object of another tool that contains them.
pub fn open(name: &str, bytes: Vec<u8>) -> RedactedFile {
    let (hidden, sources) = (Sources::default(), Sources::default());
    let source = match yaml::decode(name, bytes, &hidden) {
        Ok(source) => source,
        Err(error) => {
            if let Some(place) = error.place {
                sources.add(name, without(&hidden.get(place.source).text, &[]));
            }
            return RedactedFile { sources, values: Err(vec![error]), warnings: Vec::new() };
        }
    };
    let (values, warnings) = inside(name, source, &hidden, &sources);
    RedactedFile { sources, values, warnings }
}

/// Parses a text, and stores its masked form under the same source number.
fn read(
    name: &str,
    source: SourceId,
    hidden: &Sources,
    shown: &Sources,
) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let read = yaml::read(source, hidden);
    shown.add(name, without(&hidden.get(source).text, &read.documents));
    if read.diagnostics.is_empty() { Ok(read.documents) } else { Err(read.diagnostics) }
}

/// Parses a text and finds the values in it.
fn inside(
    name: &str,
    source: SourceId,
    hidden: &Sources,
    shown: &Sources,
) -> (Result<Node, Vec<Diagnostic>>, Vec<Diagnostic>) {
    let documents = match read(name, source, hidden, shown) {
        Ok(documents) => documents,
        Err(errors) => return (Err(errors), Vec::new()),
    };
    let mut read_text = |inner: &str, text: String| {
        let name = format!("{name}: {inner}");
        let source = hidden.add(name.as_str(), text);
        read(&name, source, hidden, shown)
    };
    let mut unwrap = Unwrap { read: &mut read_text, warnings: Vec::new() };
    let values = unwrap.one_of(documents, Place::start_of(source));
    (values, unwrap.warnings)
}

/// Masks possible tokens in a text with stars.
fn without(text: &str, documents: &[Node]) -> String {
    let mut bytes = redacted(text, &[]).into_bytes();
    let mut hide = |start: usize, end: usize| {
        for byte in bytes.iter_mut().take(end).skip(start).filter(|byte| **byte != b'\n') {
            *byte = b'*';
        }
    };
    // By the parsed tree, for tokens in any notation, and by pattern, where parsing failed.
    for document in documents {
        secrets(document, false, &mut |place: Place| {
            hide(place.start as usize, place.end as usize);
        });
    }
    for (found, _) in text.to_ascii_lowercase().match_indices("token") {
        if let Some((start, end)) = value_after(text, found) {
            hide(start, end);
        }
    }
    let inside = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    let mut at = 0;
    for word in text.split_inclusive(|c: char| !inside(c)) {
        let long = word.trim_end_matches(|c: char| !inside(c)).len();
        if long >= LONG && word.contains(|c: char| c.is_ascii_digit()) {
            hide(at, at + long);
        }
        at += word.len();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the range in which the value of the key at a byte may be: up to the next comma, brace or line with a key.
fn value_after(text: &str, key: usize) -> Option<(usize, usize)> {
    let line = text[key..].find('\n').map_or(text.len(), |end| key + end);
    let start = key + text[key..line].find(':')? + 1;
    let mut end = start;
    for (index, line) in text[start..].split_inclusive('\n').enumerate() {
        if index > 0 && line.contains(':') {
            break;
        }
        if let Some(last) = line.find([',', '}']) {
            return Some((start, end + last));
        }
        end += line.len();
    }
    Some((start, end))
}

/// Calls `hide` with the places of all scalars that are, or may be, secret.
fn secrets(node: &Node, secret: bool, hide: &mut impl FnMut(Place)) {
    for item in node.items().unwrap_or_default() {
        secrets(item, secret, hide);
    }
    let names_token = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["token", "password", "pure.json"].iter().any(|word| text.contains(word))
    };
    // `{name: arrays.FlashBlades[0].APIToken, value: …}`
    let names = node.get("name").and_then(Node::text).is_some_and(names_token);
    for entry in node.entries().unwrap_or_default() {
        let here = names_token(&entry.key) || (names && entry.key == "value");
        secrets(&entry.value, secret || here, hide);
    }
    if secret && node.scalar().is_some() {
        hide(node.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "T-c4925090-c9bf-4033-8537-d24ee5669135";

    #[test]
    fn no_token_is_in_what_may_be_shown() {
        let texts = [
            format!("arrays:\n  FlashBlades:\n  - MgmtEndPoint: a\n    APIToken: \"{TOKEN}\"\n"),
            format!("{{\"FlashBlades\": [{{\"APIToken\": \"{TOKEN}\", \"MgmtEndPoint\": \"a\"}}]}}"),
            // A text that cannot be parsed is displayed as well.
            format!("arrays: [\n  APIToken:\n    {TOKEN}\n"),
            format!("a: 1\na: 2 # {TOKEN}\n"),
            "x: [APIToken: short, b\n".to_owned(),
            "x: [password: short, b\n".to_owned(),
            "{\"iscsiPassword\": \"short\", \"x\": [}".to_owned(),
            "x: {apiTOKEN: >-\n   short\n   short\n}\n".to_owned(),
            "x:\n  apiTOKEN: >-\n   short\n   short, short\n".to_owned(),
            "x:\n  apiTOKEN: [short, {y: short}]\n".to_owned(),
            format!("kind: Secret\nstringData:\n  pure.json: |\n    {{\"FlashArrays\": [{{\"APIToken\": \"short\", \"x\": \"{TOKEN}\"}}]}}\n"),
            "kind: Application\nspec: {source: {helm: {parameters: [{name: \"x.FlashArrays[0].APIToken\", value: short}]}}}\n".to_owned(),
            "kind: Application\nspec:\n  source:\n    helm:\n      parameters:\n      - name: x.FlashArrays[0].APIToken\n        value: short\n".to_owned(),
            "kind: Application\nspec:\n  source:\n    helm:\n      values: |\n        arrays: {FlashArrays: [{APIToken: short}]}\n".to_owned(),
            "kind: Secret\ndata:\n  pure.json: eyJGbGFzaEFycmF5cyI6IFt7IkFQSVRva2VuIjogInNob3J0In1dfQ==\n".to_owned(),
        ];
        for text in texts {
            let opened = open("values.yaml", text.clone().into_bytes());
            // Sources are numbered in order.
            let first = Sources::default().add("", "");
            let shown = opened.sources.get(first).text.clone();
            assert_eq!(shown.len(), text.len(), "places stay the same");
            for word in [TOKEN, "short", "eyJGbGFz"] {
                assert!(!shown.contains(word), "{shown}");
            }
        }
    }

    #[test]
    fn a_secret_is_read_through() {
        let text = "kind: Secret\ndata:\n  pure.json: eyJGbGFzaEFycmF5cyI6IFt7IkFQSVRva2VuIjogInNob3J0In1dfQ==\n";
        let values = open("s.yaml", text.into()).values.expect("read");
        assert!(values.get("FlashArrays").is_some());
    }
}
