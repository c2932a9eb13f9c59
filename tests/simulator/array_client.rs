//! A conversation with a simulated array, of which each request and answer is held against the official document.

use std::sync::OnceLock;

use pso_gen::simulator::{Answer, Array, FlashArray, FlashBlade, Method, Request, Settings};
use serde_json::Value as Json;

use super::document::Document;

/// An array, somebody who is logged in, and the official document that both are held to.
pub(crate) struct ArrayClient {
    pub(crate) array: Array,
    /// The version that is asked for.
    pub(crate) version: &'static str,
    pub(crate) now: u64,
    /// Whether it sends what no document allows. Answers are held to it all the same.
    pub(crate) misuses: bool,
    session: Option<String>,
    document: Option<&'static Document>,
}

/// Parameters of a request.
pub(crate) type Query<'q> = &'q [(&'q str, &'q str)];

impl ArrayClient {
    pub(crate) fn with_flashblade(settings: &Settings) -> Self {
        static DOCUMENT: OnceLock<Option<Document>> = OnceLock::new();
        let document = DOCUMENT.get_or_init(|| Document::open("flashblade-2.x.strict.json"));
        let array = Array::FlashBlade(Box::new(FlashBlade::new(settings.clone())));
        Self::with(array, "2.28", document.as_ref(), &settings.token)
    }

    pub(crate) fn with_flasharray(settings: &Settings) -> Self {
        static DOCUMENT: OnceLock<Option<Document>> = OnceLock::new();
        let document = DOCUMENT.get_or_init(|| Document::open("flasharray-2.x.strict.json"));
        let array = Array::FlashArray(Box::new(FlashArray::new(settings.clone())));
        Self::with(array, "2.56", document.as_ref(), &settings.token)
    }

    fn with(
        array: Array,
        newest: &'static str,
        document: Option<&'static Document>,
        token: &str,
    ) -> Self {
        let now = 1_700_000_000_000;
        let mut client =
            Self { array, version: newest, now, misuses: false, session: None, document };
        client.log_in(token);
        client
    }

    /// Logs in, and returns the status of the answer.
    pub(crate) fn log_in(&mut self, token: &str) -> u16 {
        self.session = None;
        let path = match self.array {
            Array::FlashBlade(_) => "/api/login".to_owned(),
            Array::FlashArray(_) => "/api/2.0/login".to_owned(),
        };
        let mut request = self.request(Method::Post, &path, &[], Json::Null);
        request.api_token = Some(token.to_owned());
        let answer = self.send(&request);
        self.session = answer.headers.first().map(|(_, session)| session.clone());
        answer.status
    }

    /// Lets time go by, and logs in again.
    pub(crate) fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        assert_eq!(self.log_in(&Settings::default().token), 200);
    }

    fn request(&self, method: Method, path: &str, query: Query, body: Json) -> Request {
        let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let session = self.session.clone();
        Request { method, path: path.to_owned(), query, api_token: None, session, body }
    }

    fn send(&mut self, request: &Request) -> Answer {
        if let Some(document) = self.document.filter(|_| !self.misuses) {
            document.check_request(request);
        }
        let answer = self.array.answer(request, self.now);
        if let Some(document) = self.document {
            document.check_answer(request, &answer);
        }
        answer
    }

    pub(crate) fn ask(&mut self, method: Method, what: &str, query: Query, body: Json) -> Answer {
        let path = format!("/api/{}/{what}", self.version);
        let request = self.request(method, &path, query, body);
        self.send(&request)
    }

    /// Asks for what must succeed, and returns its items.
    fn good(&mut self, method: Method, what: &str, query: Query, body: Json) -> Vec<Json> {
        let answer = self.ask(method, what, query, body);
        assert_eq!(answer.status, 200, "{method:?} {what} {query:?}: {}", answer.body);
        answer.body["items"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn get(&mut self, what: &str, query: Query) -> Vec<Json> {
        self.good(Method::Get, what, query, Json::Null)
    }

    pub(crate) fn post(&mut self, what: &str, query: Query, body: Json) -> Vec<Json> {
        self.good(Method::Post, what, query, body)
    }

    pub(crate) fn patch(&mut self, what: &str, query: Query, body: Json) -> Vec<Json> {
        self.good(Method::Patch, what, query, body)
    }

    pub(crate) fn put(&mut self, what: &str, query: Query, body: Json) -> Vec<Json> {
        self.good(Method::Put, what, query, body)
    }

    pub(crate) fn delete(&mut self, what: &str, query: Query) {
        self.good(Method::Delete, what, query, Json::Null);
    }

    /// Asks for what must be refused for a reason that has some words in it, and must change nothing.
    pub(crate) fn refused(
        &mut self,
        words: &str,
        method: Method,
        what: &str,
        query: Query,
        body: Json,
    ) {
        // What time changes has changed after this.
        self.ask(Method::Get, "network-interfaces", &[], Json::Null);
        let before = format!("{:?}", self.array);
        let answer = self.ask(method, what, query, body);
        assert_eq!(
            format!("{:?}", self.array),
            before,
            "{method:?} {what} {query:?} changes something"
        );
        let why = answer.body["errors"][0]["message"].as_str().unwrap_or_default();
        let good = answer.status == 400 && why.contains(words);
        assert!(good, "{method:?} {what} {query:?}: no {words:?} in {answer:?}");
    }

    /// The same for a request that no document allows.
    pub(crate) fn misused(
        &mut self,
        words: &str,
        method: Method,
        what: &str,
        query: Query,
        body: Json,
    ) {
        self.misuses = true;
        self.refused(words, method, what, query, body);
        self.misuses = false;
    }
}

/// The names of objects.
pub(crate) fn names(items: &[Json]) -> Vec<&str> {
    items.iter().filter_map(|item| item["name"].as_str()).collect()
}
