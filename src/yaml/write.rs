//! Values to YAML text, and the options that make it the same for every reader.

use serde::Serialize;

/// Appends one document, without a separator. Strings that YAML 1.1 readers (kubectl, Argo CD)
/// would take for something else are quoted; long lines are not folded, so that people can grep.
pub fn write<T: Serialize>(out: &mut String, value: &T) -> Result<(), serde_yaml::ser::Error> {
    let options = serde_yaml::ser_options! { folded_wrap_chars: 1_000_000 };
    serde_yaml::to_fmt_writer_with_options(out, value, options)
}

/// Appends a string as a JSON string, which is a YAML double-quoted scalar too.
pub fn write_json_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
