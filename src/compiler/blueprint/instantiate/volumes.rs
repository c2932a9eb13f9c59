//! The volumes of an app: what the blueprint declares and the app file sets, and the class of each. How a class becomes
//! claims and mounts is unknown here.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use minijinja::Value;

use super::Instantiation;
use crate::compiler::blueprint::app::{App, AppVolume, Class, PURE_FILE};
use crate::compiler::blueprint::language::VolumeDeclaration;
use crate::compiler::blueprint::scope::Names;
use crate::compiler::blueprint::template::Template;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, nearest};
use crate::compiler::spec::{Common, Format, VolumeSpec, looks_like_a_size, one_of, repair};
use crate::compiler::yaml::{Node, ReadError};
use crate::contract::Quantity;
use crate::sanitize::quoted;

impl Instantiation<'_> {
    /// Returns the volumes of an app, and adds them to the names that expressions see.
    pub(super) fn volumes(
        &self,
        common: &Common,
        names: &mut Names,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<IndexMap<String, AppVolume>, ReadError> {
        let scope = names.scope();
        let mut volumes = IndexMap::new();
        let default = VolumeSpec::default();
        for (name, template) in &self.blueprint.volumes {
            let declared: Option<VolumeDeclaration> = template.within(&scope).read()?;
            let Some(declared) = declared else { continue };
            let written = common.volumes.get(name).unwrap_or(&default);
            let class = self.class(name, template, &declared.class, written, diagnostics)?;
            let owner = declared.owner.as_deref().and_then(|owner| {
                let (user, group) = owner.split_once(':')?;
                Some((user.parse().ok()?, group.parse().ok()?))
            });
            volumes.insert(
                name.clone(),
                AppVolume {
                    about: declared.about,
                    class,
                    size: written.size.clone().unwrap_or(declared.size),
                    claim: written.claim.clone(),
                    path: written.path.clone(),
                    holds: declared.holds,
                    owner,
                    mode: declared.mode,
                    keep: declared.keep,
                    snapshots: written.snapshots,
                },
            );
        }
        let seen =
            Value::from_pairs(volumes.iter().map(|(name, volume): (&String, &AppVolume)| {
                let facts = Value::from_pairs([
                    ("class", Value::from(volume.class.name.as_str())),
                    ("kind", Value::from(volume.class.kind.word())),
                    ("size", Value::from(volume.size.bytes())),
                ]);
                (name.clone(), facts)
            }));
        names.add([("volumes", seen)]);
        Ok(volumes)
    }

    /// Returns the class of a volume. An unknown one is reported, and another one used instead, so that the errors of
    /// later stages appear in the same run.
    fn class(
        &self,
        volume: &str,
        template: &Template,
        declared: &str,
        written: &VolumeSpec,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<Class, ReadError> {
        // That of the app file has been reported already.
        if let Some(known) = written.class.as_deref().and_then(|class| self.classes.get(class)) {
            return Ok(known.clone());
        }
        if let Some(known) = self.classes.get(declared) {
            return Ok(known.clone());
        }
        let place = template.place_of(["class"]);
        if written.class.is_none() {
            let mut found = self.unknown_class(volume, declared, place);
            found.path = format!("volumes.{volume}.class");
            diagnostics.push(found.and(Some(self.document.kind_place), "in this app"));
        }
        let missing = || ReadError { message: "there is no class".to_owned(), place: Some(place) };
        self.classes.get(PURE_FILE).cloned().ok_or_else(missing)
    }

    /// Returns the volumes that a condition leaves out, with the parameters of the condition.
    pub(super) fn left_out(
        &self,
        volumes: &IndexMap<String, AppVolume>,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let declared = self.blueprint.volumes.iter();
        let missing = declared.filter(|(name, _)| !volumes.contains_key(name));
        missing
            .filter_map(|(name, template)| Some((name.clone(), template.condition()?.fields())))
            .collect()
    }

    /// Reports words in `spec.volumes` that are neither a size nor a class.
    pub(super) fn unknown_classes(&self) -> Vec<Diagnostic> {
        let volumes = self.document.node.get("spec").and_then(|spec| spec.get("volumes"));
        let entries = volumes.and_then(Node::entries).unwrap_or_default();
        let mut errors = Vec::new();
        for entry in entries {
            let long = entry.value.get("class");
            let Some(word) = long.unwrap_or(&entry.value).text() else {
                continue;
            };
            let is_size = long.is_none() && Quantity::parse(word).is_some();
            if !is_size && self.classes.get(word).is_none() {
                let place = long.unwrap_or(&entry.value).place;
                errors.push(self.unknown_class(&entry.key, word, place));
            }
        }
        errors
    }

    fn unknown_class(&self, volume: &str, class: &str, place: Place) -> Diagnostic {
        let path = format!("spec.volumes.{volume}");
        let names: Vec<String> = self.classes.names().map(str::to_owned).collect();
        if looks_like_a_size(class) {
            let message = format!(
                "expected a size such as `20Gi` or a class such as `pure-file`, found {class}",
                class = quoted(class)
            );
            let mut diagnostic = Diagnostic::new(Code::BadSize, place, message).at(path);
            diagnostic.fix = repair(Format::Quantity, class);
            return diagnostic;
        }
        let message = format!("the class {class} does not exist", class = quoted(class));
        let fix = match nearest(class, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!(
                "write {}; pass a Storage document with `--storage` for other classes",
                one_of(&names)
            ),
        };
        Diagnostic::new(Code::UnknownClass, place, message).at(path).fix(fix)
    }
}

/// Reports volumes that the app sets but no component mounts with these settings.
pub(super) fn unused(app: &App) -> impl Iterator<Item = Diagnostic> {
    let unused = app.common.volumes.keys().filter(|name| !app.volumes.contains_key(*name));
    unused.map(|name| {
        let path = format!("spec.volumes.{name}");
        let message = format!("no component mounts the volume `{name}` with these settings");
        Diagnostic::new(Code::VolumeUnused, app.place(&path), message)
            .at(path)
            .fix("remove it, or enable the component that uses it")
    })
}
