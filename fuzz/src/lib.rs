//! The rooms `yaml` and `diagnostic` of the program, and `sanitize.rs`, as they are, without all the rest: built in
//! seconds, with the crates that they stand on. To be fuzzed they are taken from the program, which is built for its
//! other parsers anyway.

#![allow(dead_code, unreachable_pub, missing_docs)]

#[cfg(not(feature = "fuzz"))]
pub mod sanitize;
/// See `src/compiler.rs`.
#[cfg(not(feature = "fuzz"))]
pub mod compiler {
    pub mod diagnostic;
    pub mod yaml;
}
#[cfg(feature = "fuzz")]
pub use pso_gen::{compiler, sanitize};

use serde_json::Value as Json;

use compiler::diagnostic::{self, Sources};
use compiler::yaml::{self, Node, Value};

/// Reads bytes as the program does; checks what must hold whatever they are.
pub fn read(bytes: &[u8]) -> Result<Vec<Node>, &'static str> {
    let sources = Sources::default();
    let source = match yaml::decode("input", bytes.to_vec(), &sources) {
        Ok(source) => source,
        Err(wrong) => return Err(wrong.code.name()),
    };
    let text = sources.get(source).text.clone();
    let read = yaml::read(source, &sources);
    for node in &read.documents {
        in_text(node, &text);
    }
    match read.diagnostics.first() {
        Some(wrong) => Err(wrong.code.name()),
        None => Ok(read.documents),
    }
}

/// Each place is one in the text.
fn in_text(node: &Node, text: &str) {
    let check = |place: diagnostic::Place| {
        let range = place.start as usize..place.end as usize;
        assert!(text.get(range.clone()).is_some(), "{range:?} of {} bytes", text.len());
    };
    check(node.place);
    for entry in node.entries().unwrap_or_default() {
        check(entry.place);
        in_text(&entry.value, text);
    }
    node.items().unwrap_or_default().iter().for_each(|item| in_text(item, text));
}

/// What is read, written and read again is the same.
pub fn round_trip(documents: &[Node]) {
    for node in documents {
        let value = node.to_json();
        let mut text = String::new();
        if yaml::write(&mut text, &value).is_err() {
            continue;
        }
        let again = read(text.as_bytes()).unwrap_or_else(|code| panic!("{code}: {text:?}"));
        let same = match again.as_slice() {
            // Nothing is left of a document that is nothing.
            [] => value.is_null(),
            [only] => only.to_json() == value,
            _ => false,
        };
        assert!(same, "{value} became {text:?}");
    }
}

/// Returns a node as another reader's is compared: what is plain, what is text, and in which order.
pub fn tree(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(yaml::Scalar::Plain(text)) => serde_json::json!(["plain", text]),
        Value::Scalar(yaml::Scalar::Text(text)) => serde_json::json!(["text", text]),
        Value::List(items) => {
            Json::from_iter(["list".into(), items.iter().map(tree).collect::<Json>()])
        }
        Value::Map(entries) => {
            let pair = |entry: &yaml::Entry| serde_json::json!([entry.key, tree(&entry.value)]);
            Json::from_iter(["map".into(), entries.iter().map(pair).collect::<Json>()])
        }
    }
}
