//! An official REST document: what a request may hold and what an answer must look like.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fs};

use jsonschema::Validator;
use pso_gen::simulator::{Answer, Method, Request};
use serde_json::{Value as Json, json};

/// A strict variant of an official document: unknown fields and nulls are errors in it.
pub(crate) struct Document {
    document: Json,
    /// Compiled schemas by their text: building one costs far more than using it.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Document {
    /// Opens a document, which is not part of the project. On a machine that must have it (`CI`), its
    /// absence is a failure.
    pub(crate) fn open(name: &str) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/openapi");
        match fs::read_to_string(folder.join(name)) {
            Ok(text) => {
                let document = serde_json::from_str(&text).expect("JSON");
                Some(Self { document, validators: Mutex::default() })
            }
            Err(error) => {
                assert!(env::var_os("PSO_GEN_NEEDS_OPENAPI").is_none(), "{name}: {error}");
                #[expect(clippy::print_stderr, reason = "a skipped check is reported loudly")]
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
        let what = format!("{:?} {}", request.method, request.path);
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<&Json> = parameters.map(|parameter| self.resolve(parameter)).collect();
        let in_query = |parameter: &&&Json| parameter["in"] == "query";
        let named = |parameter: &Json| parameter["name"].as_str().unwrap_or_default().to_owned();
        let known: Vec<String> = parameters.iter().filter(in_query).map(|p| named(p)).collect();
        for name in request.query.keys() {
            assert!(known.contains(name), "{what}: no parameter {name}");
        }
        for parameter in parameters.iter().filter(in_query).filter(|p| p["required"] == true) {
            let name = named(parameter);
            assert!(request.query.contains_key(&name), "{what}: no {name}, which is required");
        }
        let body = self.resolve(&operation["requestBody"]);
        let schema = &body["content"]["application/json"]["schema"];
        if request.body.is_null() {
            assert!(body["required"] != true, "{what}: no body, which is required");
        } else if !schema.is_null() {
            self.check(schema, &request.body, &format!("body of {what}"));
            let read_only = self.read_only(schema, &request.body, "");
            assert!(read_only.is_empty(), "body of {what}: {read_only:?} cannot be written");
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
        let paths = self.document["paths"].as_object().expect("paths");
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
        let target = node["$ref"].as_str().map(|path| path.trim_start_matches('#'));
        match target.and_then(|path| self.document.pointer(path)) {
            Some(target) => target,
            None => node,
        }
    }

    /// The fields of a value that its schema says can only be read.
    fn read_only(&self, schema: &Json, value: &Json, path: &str) -> Vec<String> {
        let schema = self.resolve(schema);
        if !path.is_empty() && schema["readOnly"] == true {
            return vec![path.to_owned()];
        }
        let mut found = Vec::new();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            found.extend(self.read_only(part, value, path));
        }
        for item in value.as_array().into_iter().flatten() {
            found.extend(self.read_only(&schema["items"], item, path));
        }
        for (field, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{field}");
            found.extend(self.read_only(&schema["properties"][field], value, &path));
        }
        found
    }

    fn check(&self, schema: &Json, value: &Json, what: &str) {
        let wrong: Vec<String> = self
            .validator(schema)
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?}\n{value}");
    }

    fn validator(&self, schema: &Json) -> Arc<Validator> {
        // A check that has failed elsewhere leaves the map as it was.
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let build = || {
            let root = json!({"allOf": [schema], "components": self.document["components"]});
            let options = jsonschema::options().with_draft(jsonschema::Draft::Draft4);
            Arc::new(options.build(&root).expect("a schema"))
        };
        validators.entry(schema.to_string()).or_insert_with(build).clone()
    }
}

/// A value that a document refuses, if it is here: what the checks themselves must catch.
#[test]
fn checks_catch_what_a_client_must_not_send() {
    let Some(document) = Document::open("flashblade-2.x.strict.json") else { return };
    let request = |resource: &str, query: &[(&str, &str)], body| {
        let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let path = format!("/api/2.28/{resource}");
        Request { method: Method::Post, path, query, api_token: None, session: None, body }
    };
    let names = [("names", "a")];
    for (why, bad) in [
        ("unknown parameter", request("policies", &[("name", "a")], json!({}))),
        ("required parameter", request("policies", &[], json!({}))),
        ("required body", request("file-systems", &names, Json::Null)),
        ("unknown field", request("file-systems", &names, json!({"size": 1}))),
        ("field to read", request("policies", &names, json!({"retention_lock": "locked"}))),
        ("null", request("file-systems", &names, json!({"provisioned": null}))),
    ] {
        let check = std::panic::AssertUnwindSafe(|| document.check_request(&bad));
        assert!(std::panic::catch_unwind(check).is_err(), "{why} is not caught");
    }
    document.check_request(&request("policies", &names, json!({"enabled": true})));
}
