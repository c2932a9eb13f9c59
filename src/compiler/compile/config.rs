//! The app's files as one ConfigMap, and the hash by which a change of a file rolls the pods.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use sha2::{Digest, Sha256};

use super::{Context, wave};
use crate::compiler::blueprint::{App, FileContent, Program};
use crate::compiler::manifest::Object;

/// Name of the volume that holds them in a pod.
pub(super) const VOLUME: &str = "pso-files";

/// Name of the ConfigMap.
pub(super) fn name(app: &App) -> String {
    app.object_name("config")
}

/// Key of a text that stands in the blueprint itself, made from the path at which it appears.
pub(super) fn text_key(program: &str, path: &str) -> String {
    let path: String = path
        .trim_start_matches('/')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    format!("{program}.{path}")
}

/// The app's files, or nothing if there are none.
pub(super) fn config_map(context: &Context<'_>) -> Option<Object> {
    let data = context.files.iter().map(|(key, text)| (key.to_string(), text.to_string()));
    (!context.files.is_empty()).then(|| {
        Object::from(ConfigMap {
            metadata: context.metadata(name(context.app), "", wave::CONFIG),
            data: Some(data.collect()),
            ..ConfigMap::default()
        })
    })
}

/// A script of the compiler's own that pods run: its key among the app's files, and its text.
pub(super) type Script = (&'static str, &'static str);

/// All contents by key: the blueprint's files, those texts that stand in the blueprint, and scripts.
pub(super) fn contents(
    app: &App,
    scripts: impl IntoIterator<Item = Script>,
) -> BTreeMap<Cow<'_, str>, Cow<'_, str>> {
    let files = app.files.iter().map(|(key, text)| (Cow::from(key), Cow::from(text.as_ref())));
    let mut contents: BTreeMap<_, _> = files.collect();
    contents.extend(scripts.into_iter().map(|(key, text)| (Cow::from(key), Cow::from(text))));
    let components = app.components.iter().map(|(name, c)| (name, &c.program));
    for (name, program) in components.chain(app.jobs.iter().map(|(name, j)| (name, &j.program))) {
        contents.extend(texts(name, program));
    }
    contents
}

fn texts<'p>(
    name: &'p str,
    program: &'p Program,
) -> impl Iterator<Item = (Cow<'p, str>, Cow<'p, str>)> {
    program.files.iter().filter_map(move |(path, file)| match &file.as_ref()?.content {
        FileContent::Text(text) => Some((text_key(name, path).into(), text.into())),
        _ => None,
    })
}

impl Context<'_> {
    /// Hash of some of the files: 10 hexadecimal digits are enough to detect a change.
    pub(super) fn hash<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Option<String> {
        let mut digest = Sha256::new();
        let mut any = false;
        for key in keys {
            any = true;
            let text = self.files.get(key).map_or("", |text| text.as_ref());
            // Lengths keep "a" + "bc" apart from "ab" + "c".
            digest.update(key.len().to_le_bytes());
            digest.update(key);
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        }
        any.then(|| short(&digest.finalize()))
    }
}

/// The first 10 hexadecimal digits of a hash.
pub(super) fn short(digest: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest.iter().take(5) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
