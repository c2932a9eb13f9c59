//! An official REST document: what a request may hold and what an answer must look like.

use std::path::Path;
use std::{env, fs};

use pso_gen::simulator::{Answer, Method, Request};
use serde_json::{Value as Json, json};

/// A strict variant of an official document: unknown fields and nulls are errors in it.
pub(crate) struct Document(Json);

impl Document {
    /// Opens a document, which is not part of the project. On a machine that must have it (`CI`), its
    /// absence is a failure.
    pub(crate) fn open(name: &str) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/openapi");
        match fs::read_to_string(folder.join(name)) {
            Ok(text) => Some(Self(serde_json::from_str(&text).expect("JSON"))),
            Err(error) => {
                assert!(env::var_os("PSO_GEN_NEEDS_OPENAPI").is_none(), "{name}: {error}");
                #[expect(clippy::print_stderr, reason = "a skipped check is told loudly")]
                {
                    eprintln!("SKIPPED: {name} is not here, so nothing is held against it");
                }
                None
            }
        }
    }

    /// Fails unless parameters and body are what the document allows.
    pub(crate) fn check_request(&self, request: &Request) {
        let Some(operation) = self.operation(request) else { return };
        let known: Vec<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| self.resolve(parameter)["name"].as_str())
            .collect();
        for name in request.query.keys() {
            assert!(known.contains(&name.as_str()), "{}: no parameter {name}", request.path);
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !schema.is_null() && !request.body.is_null() {
            self.check(
                schema,
                &request.body,
                &format!("body of {:?} {}", request.method, request.path),
            );
        }
    }

    /// Fails unless a good answer is what the document says, and a refusal has the form of one.
    pub(crate) fn check_answer(&self, request: &Request, answer: &Answer) {
        let what = format!("answer {} to {:?} {}", answer.status, request.method, request.path);
        let refusal = json!({"$ref": "#/components/schemas/_errorContextResponse"});
        match answer.status {
            200 => {
                let Some(operation) = self.operation(request) else {
                    panic!("{what}: not in the document");
                };
                let schema =
                    &operation["responses"]["200"]["content"]["application/json"]["schema"];
                if !schema.is_null() {
                    self.check(schema, &answer.body, &what);
                }
            }
            403 | 429 => assert!(answer.body["message"].is_string(), "{what}"),
            _ => self.check(&refusal, &answer.body, &what),
        }
    }

    fn operation(&self, request: &Request) -> Option<&Json> {
        let paths = self.0["paths"].as_object().expect("paths");
        // Whatever version is asked for, the document has one.
        let resource = |path: &str| {
            let rest = path.strip_prefix("/api/").unwrap_or(path);
            let rest = rest.split_once('/').filter(|(version, _)| version.starts_with("2."));
            rest.map_or(path.to_owned(), |(_, resource)| resource.to_owned())
        };
        let wanted = resource(&request.path);
        let (_, methods) = paths.iter().find(|(path, _)| resource(path) == wanted)?;
        let method = match request.method {
            Method::Get => "get",
            Method::Post => "post",
            Method::Patch => "patch",
            Method::Put => "put",
            Method::Delete => "delete",
        };
        methods.get(method)
    }

    fn resolve<'d>(&'d self, node: &'d Json) -> &'d Json {
        match node["$ref"].as_str().and_then(|path| self.0.pointer(path.trim_start_matches('#'))) {
            Some(target) => target,
            None => node,
        }
    }

    fn check(&self, schema: &Json, value: &Json, what: &str) {
        let root = json!({"allOf": [schema], "components": self.0["components"]});
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft4)
            .build(&root)
            .expect("a schema");
        let wrong: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?}\n{value}");
    }
}
