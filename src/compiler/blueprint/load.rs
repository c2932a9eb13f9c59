//! A folder of data becomes a [`Blueprint`]: parsed once, checked whole, ready for any number of apps.

mod mistakes;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use minijinja::Value as Evaluated;

use super::catalogue::Catalogue;
use super::fixed::fixed_names;
use super::folder::Folder;
use super::language::{SecretKeys, blueprint_shape};
use super::named::{existing_secret, volume_shape};
use super::parameter::Declared;
use super::scaled::scaled_by;
use super::scope::Variables;
use super::template::Template;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, Sources, nearest};
use crate::compiler::spec::{
    Common, Expressions, Field, Format, Kind, Metadata, Shape, apply_layer, check, drop_blank,
};
use crate::compiler::yaml::{self, Entry, Node, ReadError, Value};
use crate::contract::API_VERSION;

/// The file that makes a folder a blueprint.
pub(super) const FILE: &str = "blueprint.yaml";
/// The file that makes a folder a part of blueprints.
pub(super) const PART_FILE: &str = "part.yaml";

/// The fields that a job inherits from the component that it is `like`.
const INHERITED: [&str; 12] = [
    "image",
    "user",
    "group",
    "env",
    "files",
    "mounts",
    "writable",
    "readOnlyRoot",
    "egress",
    "reserved",
    "reservedArgs",
    "resources",
];

/// How the step that fills Secrets is called in `spec.images`.
pub(super) const SECRETS_STEP: &str = "secrets";

/// Names that every expression sees.
const KNOWN_NAMES: [&str; 12] = [
    "app",
    "catalogue",
    "component",
    "expose",
    "secrets",
    "volumes",
    "written",
    "range",
    "dict",
    "true",
    "false",
    "none",
];

/// A blueprint, parsed.
#[derive(Debug)]
pub struct Blueprint {
    /// The kind that people write, such as `NextCloud`.
    pub kind: String,
    /// The app's fields and components.
    pub about: String,
    pub(super) folder: Folder,
    pub(super) catalogue: Evaluated,
    pub(super) name: Option<Template>,
    pub(super) parameters: Vec<Declared>,
    pub(super) lets: Parts,
    pub(super) volumes: Parts,
    pub(super) secrets: IndexMap<String, SecretKeys>,
    secret_places: BTreeMap<String, Place>,
    pub(super) components: Parts,
    pub(super) jobs: Parts,
    pub(super) likes: IndexMap<String, String>,
    /// The parameter that sets the number of pods, by component.
    pub(super) scaled_by: BTreeMap<String, String>,
    pub(super) talks: Option<Template>,
    pub(super) expose: Option<Template>,
    pub(super) rules: Option<Template>,
    pub(super) labels: Option<Template>,
    pub(super) annotations: Option<Template>,
    pub(super) expires: Option<Template>,
    pub(super) manifests: Option<Template>,
    shape: Shape,
}

/// Named templates, in the order of the file.
pub(super) type Parts = Vec<(String, Template)>;

/// Whether a blueprint is held against the language's shape: those that we ship are by our tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validation {
    Shipped,
    Checked,
}

impl Blueprint {
    /// Parses and checks a blueprint's folder; `parts` are those that it may name.
    pub(super) fn load(
        mut folder: Folder,
        parts: &[Folder],
        catalogue: &Catalogue,
        trust: Validation,
        sources: &Sources,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut node = read_file(&folder, FILE, sources)?;
        for name in node.get("parts").and_then(Node::items).unwrap_or_default().to_vec() {
            let word = name.text().unwrap_or_default();
            let Some(part) = parts.iter().find(|part| part.is_called(word)) else {
                return Err(vec![unknown_part(word, name.place, parts)]);
            };
            let under = read_file(part, PART_FILE, sources)?;
            lay_under(&mut node, &under);
            let files = part.files.iter().filter(|(name, _)| *name != PART_FILE);
            folder.files.extend(files.map(|(name, text)| (name.clone(), text.clone())));
        }
        if trust == Validation::Checked {
            let shape = blueprint_shape();
            drop_blank(&mut node, &shape);
            let mut errors = fixed_names(&node);
            errors.extend(check(&node, &shape, "", Expressions::Allowed));
            no_errors(errors)?;
        }
        let blueprint = Self::parse(&node, folder, catalogue).map_err(|error| {
            let place = error.place.unwrap_or(node.place);
            vec![Diagnostic::new(Code::BadBlueprint, place, error.message)]
        })?;
        if trust == Validation::Checked {
            let mut errors = blueprint.unknown_names();
            errors.extend(blueprint.mistakes(&node));
            no_errors(errors)?;
        }
        Ok(blueprint)
    }

    fn parse(node: &Node, folder: Folder, catalogue: &Catalogue) -> Result<Self, ReadError> {
        let catalogue = catalogue.value();
        let scope = Variables::new([("catalogue", catalogue.clone())]);
        let whole = |key: &str| node.get(key).map(Template::parse).transpose();
        let entries = |key: &str| node.get(key).and_then(Node::entries).unwrap_or_default();
        let parts = |key: &str| entries(key).iter().map(part).collect::<Result<Parts, _>>();
        let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default().to_owned();
        let parameters = entries("parameters")
            .iter()
            .map(|entry| Declared::read(&entry.key, &entry.value, &scope))
            .collect::<Result<Vec<_>, _>>()?;
        let secrets = match whole("secrets")? {
            Some(template) => template.within(&scope).read()?,
            None => IndexMap::new(),
        };
        let (components, lets) = (parts("components")?, parts("let")?);
        let (jobs, likes) = jobs(entries("jobs"), entries("components"))?;
        let mut blueprint = Self {
            kind: text("blueprint"),
            about: text("about"),
            folder,
            catalogue,
            name: whole("name")?,
            scaled_by: scaled_by(&components, &lets, &parameters),
            parameters,
            lets,
            volumes: parts("volumes")?,
            secret_places: entries("secrets").iter().map(|e| (e.key.clone(), e.place)).collect(),
            secrets,
            components,
            jobs,
            likes,
            talks: whole("talks")?,
            expose: whole("expose")?,
            rules: whole("rules")?,
            labels: whole("labels")?,
            annotations: whole("annotations")?,
            expires: whole("expires")?,
            manifests: whole("manifests")?,
            shape: Shape::new("", Kind::Anything),
        };
        blueprint.shape = blueprint.app_shape(node);
        Ok(blueprint)
    }

    /// Returns the shape of the app documents of this kind.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the place of something in a component, a job or a section.
    pub(super) fn place_of(&self, part: &str, at: &[&str]) -> Option<Place> {
        if let ("volumes", [volume]) = (part, at) {
            let named = self.volumes.iter().find(|(name, _)| name == volume);
            return named.map(|(_, template)| template.place());
        }
        if let ("secrets", [secret]) = (part, at) {
            return self.secret_places.get(*secret).copied();
        }
        let named = self.components.iter().chain(&self.jobs).find(|(name, _)| name == part);
        let section = match part {
            "talks" => self.talks.as_ref(),
            "expose" => self.expose.as_ref(),
            "labels" => self.labels.as_ref(),
            "annotations" => self.annotations.as_ref(),
            _ => None,
        };
        let template = named.map(|(_, template)| template).or(section)?;
        Some(template.place_of(at.iter().copied()))
    }

    /// Builds it: the parameters, then the common fields as far as the blueprint has a use for them.
    fn app_shape(&self, node: &Node) -> Shape {
        let mut fields: Vec<Field> = self.parameters.iter().map(Declared::field).collect();
        for field in Shape::of::<Common>().fields().unwrap_or_default() {
            if let Some(shape) = self.common_field(field, node) {
                fields.push(Field { shape, ..field.clone() });
            }
        }
        let required = fields.iter().any(|field| field.required);
        let mut metadata = Shape::of::<Metadata>();
        if let (Kind::Object(fields), None) = (&mut metadata.kind, &self.name) {
            fields.iter_mut().filter(|field| field.name == "name").for_each(|field| {
                field.required = true;
                field.shape.example = Some(self.kind.to_lowercase().into());
            });
        }
        let fixed = |about: &str, word: &str| {
            let choices = vec![word.to_owned()];
            Shape::new(about, Kind::Text { format: Format::Text, choices, min: None, max: None })
        };
        "Name and namespace of the app.".clone_into(&mut metadata.about);
        let object = |name: &str, shape, required| Field { name: name.to_owned(), shape, required };
        Shape::new(
            self.about.clone(),
            Kind::Object(vec![
                object(
                    "apiVersion",
                    fixed("Version of this document's fields.", API_VERSION),
                    true,
                ),
                object("kind", fixed("The blueprint.", &self.kind), true),
                object("metadata", metadata, self.name.is_none()),
                object("spec", Shape::new("Settings of the app.", Kind::Object(fields)), required),
            ]),
        )
    }

    /// A common field with the names that this blueprint has, or nothing if it has none.
    fn common_field(&self, field: &Field, node: &Node) -> Option<Shape> {
        let programs = || self.components.iter().chain(&self.jobs).map(|(name, _)| name.clone());
        let each = |names: &mut dyn Iterator<Item = String>, values: Shape| {
            let fields: Vec<Field> =
                names.map(|name| Field { name, shape: values.clone(), required: false }).collect();
            let shape = Shape { kind: Kind::Object(fields.clone()), ..field.shape.clone() };
            (!fields.is_empty()).then_some(shape)
        };
        match field.name.as_str() {
            "volumes" => {
                let declared = node.get("volumes").and_then(Node::entries).unwrap_or_default();
                let volumes = declared.iter().map(|entry| Field {
                    name: entry.key.clone(),
                    shape: volume_shape(&entry.value, &field.shape),
                    required: false,
                });
                let kind = Kind::Object(volumes.collect());
                (!declared.is_empty()).then(|| Shape { kind, ..field.shape.clone() })
            }
            "secrets" => {
                let fields: Vec<Field> = self.secrets.iter().map(existing_secret).collect();
                let shape = Shape { kind: Kind::Object(fields.clone()), ..field.shape.clone() };
                (!fields.is_empty()).then_some(shape)
            }
            "images" => {
                let step = (!self.secrets.is_empty()).then(|| SECRETS_STEP.to_owned());
                // A job that is like a component runs its image.
                let programs = programs().filter(|name| !self.likes.contains_key(name));
                each(
                    &mut programs.chain(step),
                    Shape::text("Container image instead of that of the catalogue.", Format::Image),
                )
            }
            "resources" | "components" => {
                let Kind::Map { values, .. } = &field.shape.kind else {
                    return None;
                };
                each(&mut programs(), (**values).clone())
            }
            "expose" => self.expose.as_ref().map(|_| field.shape.clone()),
            _ => Some(field.shape.clone()),
        }
    }
}

fn no_errors(errors: Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn read_file(folder: &Folder, file: &str, sources: &Sources) -> Result<Node, Vec<Diagnostic>> {
    let text = folder.files.get(file).map_or("", |text| text.as_ref());
    let source = sources.add(format!("{}/{file}", folder.name), text);
    let read = yaml::read(source, sources);
    no_errors(read.diagnostics)?;
    read.documents.into_iter().next().ok_or_else(|| {
        vec![Diagnostic::new(Code::BadBlueprint, Place::start_of(source), "the file is empty")]
    })
}

fn unknown_part(name: &str, place: Place, parts: &[Folder]) -> Diagnostic {
    let names: Vec<&str> = parts.iter().filter_map(|part| part.name.rsplit('/').next()).collect();
    let fix = match nearest(name, names.iter().copied()) {
        Some(likely) => format!("did you mean `{likely}`?"),
        None => format!(
            "write one of `{}`, or add a part to the folder `parts` beside the blueprint",
            names.join("`, `")
        ),
    };
    Diagnostic::new(Code::BadBlueprint, place, format!("there is no part `{name}`")).fix(fix)
}

/// Adds what `under` has and `node` has not; lists of rules and manifests are put together.
fn lay_under(node: &mut Node, under: &Node) {
    if let (Value::Map(entries), Value::Map(more)) = (&mut node.value, &under.value) {
        for entry in more {
            match entries.iter_mut().find(|known| known.key == entry.key) {
                Some(known) => match (&mut known.value.value, &entry.value.value) {
                    (Value::List(items), Value::List(more))
                        if matches!(entry.key.as_str(), "rules" | "manifests") =>
                    {
                        items.extend(more.iter().cloned());
                    }
                    _ => lay_under(&mut known.value, &entry.value),
                },
                None => entries.push(entry.clone()),
            }
        }
    }
}

fn part(entry: &Entry) -> Result<(String, Template), ReadError> {
    Ok((entry.key.clone(), Template::parse(&entry.value)?))
}

/// Jobs, each merged over the fields that it inherits from its component.
fn jobs(
    jobs: &[Entry],
    components: &[Entry],
) -> Result<(Parts, IndexMap<String, String>), ReadError> {
    let mut parts = Parts::new();
    let mut likes = IndexMap::new();
    for job in jobs {
        let mut node = Node::empty_map(job.place);
        if let Some(like) = job.value.get("like") {
            let name = like.text().unwrap_or_default();
            let Some(component) = components.iter().find(|component| component.key == name) else {
                let message = format!("there is no component `{name}`");
                return Err(ReadError { message, place: Some(like.place) });
            };
            likes.insert(job.key.clone(), name.to_owned());
            let inherited = component.value.entries().unwrap_or_default().iter();
            let inherited = inherited.filter(|entry| INHERITED.contains(&entry.key.as_str()));
            node.value = Value::Map(inherited.cloned().collect());
        }
        apply_layer(&mut node, &job.value, None);
        parts.push((job.key.clone(), Template::parse(&node)?));
    }
    Ok((parts, likes))
}
