//! Blueprints: folders of files, and the expressions in them.
//!
//! A folder is a text with a line of `\x01` and a name before each file; the file of that name follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use pso_gen::compiler::blueprint::{Folder, Library};
use pso_gen::compiler::diagnostic::Sources;

use crate::app;

/// Loads a folder, explains its kind, and renders an app of it that sets nothing.
pub(crate) fn folder(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut files = BTreeMap::new();
    for file in text.split('\x01').skip(1) {
        let (name, content) = file.split_once('\n').unwrap_or((file, ""));
        files.insert(name.to_owned(), Arc::from(content));
    }
    load(files);
}

/// Renders a blueprint in which one text is an expression.
pub(crate) fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let quoted = serde_json::Value::from(format!("{{{{ {text} }}}}"));
    let blueprint = format!(
        "blueprint: Own
about: One with an expression.
parameters:
  hosts: {{type: list, of: {{type: hostname}}, default: [a.example.com, b.example.com]}}
  settings: {{type: map, of: {{type: string}}, default: {{KEY: value}}}}
  size: {{type: quantity, default: 1536Mi}}
  wait: {{type: duration, default: 90s}}
  loud: {{type: boolean, default: false}}
  name: {{type: string, default: INC 4711}}
let:
  fuzzed: {quoted}
volumes: {{data: {{class: pure-file, size: 1Gi, owner: \"1:2\"}}}}
components:
  web:
    image: example.com/web:1.0.0
    user: 1000
    ports: {{http: 8080}}
    env: {{FUZZED: {quoted}, TEXT: \"{{{{ fuzzed }}}} of it\"}}
    args: [{{if: {quoted}, then: --yes}}]
    mounts: {{data: /data}}
"
    );
    load([("blueprint.yaml".to_owned(), Arc::from(blueprint))].into());
}

fn load(files: BTreeMap<String, Arc<str>>) {
    let sources = Sources::default();
    let folder = Folder { name: "blueprints/own".to_owned(), files };
    let library = match Library::new(vec![folder], &sources) {
        Ok(library) => library,
        Err(wrong) => return app::print(&wrong, &sources),
    };
    let shipped = Library::new(Vec::new(), &sources).expect("the shipped blueprints load").kinds();
    for kind in library.kinds() {
        if shipped.contains(&kind) && kind != "Scratch" {
            continue;
        }
        match library.get(&kind, &sources) {
            Some(Ok(blueprint)) => drop(blueprint.shape().clone()),
            Some(Err(wrong)) => app::print(&wrong, &sources),
            None => panic!("a kind that is listed is not there: {kind}"),
        }
        let kind = serde_json::Value::from(kind);
        let text =
            format!("apiVersion: pso-gen.io/v1alpha1\nkind: {kind}\nmetadata: {{name: a}}\n");
        app::render(text.as_bytes(), &sources, &library);
    }
}
