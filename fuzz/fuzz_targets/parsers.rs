//! Every parser of the program in one fuzzed executable, so that the program is built for fuzzing once:
//!
//!   PSO_GEN_PARSER=app parsers CORPUS...
//!
//! A parser takes any bytes. It must neither panic nor be slow, and what it answers must hold what its module says.

#![no_main]

#[path = "parsers/answers.rs"]
mod answers;
#[path = "parsers/app.rs"]
mod app;
#[path = "parsers/blueprint.rs"]
mod blueprint;
#[path = "parsers/elsewhere.rs"]
mod elsewhere;
#[path = "parsers/formats.rs"]
mod formats;
#[path = "parsers/objects.rs"]
mod objects;

use std::sync::LazyLock;

type Parser = fn(&[u8]);

/// By name, as `fuzz/run` lists them.
const PARSERS: [(&str, Parser); 9] = [
    ("yaml", yaml),
    ("app", app::app),
    ("patch", app::patch),
    ("blueprint", blueprint::folder),
    ("expression", blueprint::expression),
    ("formats", formats::formats),
    ("objects", objects::objects),
    ("answers", answers::answers),
    ("elsewhere", elsewhere::elsewhere),
];

static PARSER: LazyLock<Parser> = LazyLock::new(|| {
    let name = std::env::var("PSO_GEN_PARSER").unwrap_or_default();
    let named = PARSERS.iter().find(|(parser, _)| *parser == name);
    named.unwrap_or_else(|| panic!("PSO_GEN_PARSER names no parser: {name:?}")).1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| PARSER(bytes));

/// No place is outside of the text, and what is read can be written and read again.
fn yaml(bytes: &[u8]) {
    if let Ok(documents) = reader::read(bytes) {
        reader::round_trip(&documents);
    }
}
