//! Requests and responses of both arrays. Knows neither HTTP servers nor sockets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads an object.
    Get,
    /// Creates an object.
    Post,
    /// Changes an object.
    Patch,
    /// Replaces an object.
    Put,
    /// Eradicates or detaches an object.
    Delete,
}

/// A request. Its serialized form contains neither token nor session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path from the root, `/api/2.28/file-systems`.
    pub path: String,
    /// Parameters, decoded.
    pub query: BTreeMap<String, String>,
    /// Header `api-token` of a log-in.
    #[serde(skip)]
    pub api_token: Option<String>,
    /// Header `x-auth-token` of all further requests.
    #[serde(skip)]
    pub session: Option<String>,
    /// Body. A missing body equals `{}` for both arrays.
    pub body: Json,
}

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers in addition to those of every response.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Json,
}

/// A refusal with the array's message. Clients should not rely on the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    context: Option<String>,
    message: String,
}

/// The result of a handler: the body, or a refusal.
pub(super) type Outcome = Result<Json, Refusal>;

impl Answer {
    /// Returns a successful response.
    pub(super) fn good(body: Json) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }
}

impl From<Refusal> for Answer {
    /// The gateway in front of the REST service sends 403 and 429, in another format.
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

    /// Returns the refusal for a missing object.
    pub(super) fn missing(name: &str, kind: &str) -> Self {
        Self::of(name, format!("{kind} does not exist."))
    }

    /// Returns the refusal for a missing parameter.
    pub(super) fn lacks(parameter: &str) -> Self {
        Self::whole(400, format!("Missing required parameter '{parameter}'."))
    }

    /// Returns the refusal for a name that is taken.
    pub(super) fn exists(name: &str, kind: &str) -> Self {
        Self::of(name, format!("{kind} already exists."))
    }
}

impl Request {
    /// Returns a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns a list parameter, `a,b`.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.parameter(name).map(|list| list.split(',').collect()).unwrap_or_default()
    }

    /// Returns a boolean parameter.
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

    /// Returns a number parameter.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let number = self.parameter(name).map(str::parse).transpose();
        number.map_err(|_| Refusal::whole(400, format!("Invalid value of parameter '{name}'.")))
    }

    /// Returns the single name that a request must have in a parameter.
    pub(super) fn one(&self, name: &str) -> Result<&str, Refusal> {
        match self.list(name).as_slice() {
            [only] => Ok(only),
            [] => Err(Refusal::lacks(name)),
            _ => Err(Refusal::whole(400, format!("Only one value is allowed in '{name}'."))),
        }
    }
}
