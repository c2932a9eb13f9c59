//! Requests and answers as both arrays have them, without a word on HTTP servers or sockets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// What a request wants done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Changes.
    Patch,
    /// Replaces.
    Put,
    /// Eradicates or detaches.
    Delete,
}

/// A request. Written to a file, it has neither token nor session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// What is wanted.
    pub method: Method,
    /// Path from the root, `/api/2.28/file-systems`.
    pub path: String,
    /// Parameters, decoded.
    pub query: BTreeMap<String, String>,
    /// Header `api-token`, of a login.
    #[serde(skip)]
    pub api_token: Option<String>,
    /// Header `x-auth-token`, of everything after it.
    #[serde(skip)]
    pub session: Option<String>,
    /// Body; none and `{}` are the same for both arrays.
    pub body: Json,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers beside those of every answer.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Json,
}

/// Why an array does not do something. The message is the array's; clients should not rely on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    context: Option<String>,
    message: String,
}

/// What the handler of a resource returns: the body, or why not.
pub(super) type Outcome = Result<Json, Refusal>;

impl Answer {
    /// Returns a good answer.
    pub(super) fn good(body: Json) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }
}

impl From<Refusal> for Answer {
    /// 403 and 429 come from the gateway before the array's REST service, in another form.
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, context, message } = refusal;
        let body = match (status, context) {
            (403 | 429, _) => json!({ "message": message }),
            (_, Some(context)) => json!({"errors": [{"context": context, "message": message}]}),
            (_, None) => json!({"errors": [{ "message": message }]}),
        };
        Self { status, headers: Vec::new(), body }
    }
}

impl Refusal {
    /// Returns a refusal about one object.
    pub(super) fn of(context: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, context: Some(context.into()), message: message.into() }
    }

    /// Returns a refusal of a request as a whole.
    pub(super) fn whole(status: u16, message: impl Into<String>) -> Self {
        Self { status, context: None, message: message.into() }
    }

    /// There is no such object.
    pub(super) fn missing(name: &str, what: &str) -> Self {
        Self::of(name, format!("{what} does not exist."))
    }

    /// A parameter that must be there is not.
    pub(super) fn lacks(parameter: &str) -> Self {
        Self::whole(400, format!("Missing required parameter '{parameter}'."))
    }

    /// There is one of that name already.
    pub(super) fn exists(name: &str, what: &str) -> Self {
        Self::of(name, format!("{what} already exists."))
    }
}

impl Request {
    /// Returns a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns a parameter that is a list, `a,b`.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.parameter(name).map(|list| list.split(',').collect()).unwrap_or_default()
    }

    /// Returns a parameter that is true or false.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.parameter(name) {
            None => Ok(None),
            Some("true" | "True") => Ok(Some(true)),
            Some("false" | "False") => Ok(Some(false)),
            Some(other) => {
                Err(Refusal::whole(400, format!("Invalid value {other:?} of parameter '{name}'.")))
            }
        }
    }

    /// Returns a parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let number = self.parameter(name).map(str::parse).transpose();
        number.map_err(|_| Refusal::whole(400, format!("Invalid value of parameter '{name}'.")))
    }

    /// Returns the one name that a request must have in a parameter.
    pub(super) fn one(&self, name: &str) -> Result<&str, Refusal> {
        match self.list(name).as_slice() {
            [only] => Ok(only),
            [] => Err(Refusal::lacks(name)),
            _ => Err(Refusal::whole(400, format!("Only one value is allowed in '{name}'."))),
        }
    }
}
