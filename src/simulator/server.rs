//! Serves the arrays: one port per array, fault injection between request and response, and a page that shows their
//! contents.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::to_bytes;
use axum::extract::{Query, Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json as JsonBody, Router};
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use super::connections::{Unanswered, accept, certificate};
use super::faults::Faults;
use super::journal::Journal;
use super::limit::Bucket;
use super::{Answer, Array, Fault, FaultRule, Method, Request, Settings, hostile};

/// Largest body of a request.
const LARGEST_BODY: usize = 1 << 20;
/// Number of recent calls of each array on the page.
const RECENT: usize = 20;
/// Default number of objects of each kind on the page.
const SHOWN: usize = 200;

/// Observes every request to an array by name, and the response; `None` when the response is lost.
#[derive(Clone)]
pub struct RequestHook(Arc<Hook>);

type Hook = dyn Fn(&str, &Request, Option<&Answer>) + Send + Sync;

impl RequestHook {
    /// Returns an observer for a function.
    pub fn new(look: impl Fn(&str, &Request, Option<&Answer>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl std::fmt::Debug for RequestHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tap")
    }
}

/// Server options.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to listen on.
    pub address: std::net::IpAddr,
    /// First port: the page's, followed by one for each array; 0 means free ports.
    pub port: u16,
    /// Whether to use https with a temporary certificate.
    pub tls: bool,
    /// Faults to inject.
    pub faults: Vec<FaultRule>,
    /// Seed for faults with a probability.
    pub seed: u64,
    /// Requests per second that each array accepts; unlimited when left out.
    pub rate: Option<u32>,
    /// File that preserves the arrays beyond this process. Without it, they end with the process.
    pub state: Option<PathBuf>,
    /// Observer of all requests.
    pub request_hook: Option<RequestHook>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            port: 0,
            tls: true,
            faults: Vec::new(),
            seed: 1,
            rate: None,
            state: None,
            request_hook: None,
        }
    }
}

/// Address and credentials of an array.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoint {
    /// `FlashBlade` or `FlashArray`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Root of its REST API.
    pub url: String,
    /// Its API token, which is valid only for this simulator.
    pub token: String,
}

/// The running arrays.
#[derive(Debug)]
pub struct Running {
    /// The arrays.
    pub arrays: Vec<Endpoint>,
    /// Address of the page.
    pub page: String,
    /// The certificate to trust, as PEM; `None` for plain http.
    pub certificate: Option<String>,
}

#[derive(Debug)]
struct Served {
    endpoint: Endpoint,
    array: Mutex<Array>,
    calls: Mutex<Calls>,
    bucket: Option<Mutex<Bucket>>,
    journal: Option<Arc<Mutex<Journal>>>,
    faults: Arc<Mutex<Faults>>,
    request_hook: Option<RequestHook>,
    /// Bytes of large bodies that were sent.
    sent: Arc<AtomicU64>,
    /// Requests that have come and are answered later.
    late: AtomicU64,
}

/// Requests to an array.
#[derive(Debug, Default)]
struct Calls {
    count: u64,
    /// The most recent ones, newest first.
    recent: VecDeque<Json>,
}

/// Starts to serve arrays on the current tokio runtime, until the runtime ends.
pub async fn serve(mut arrays: Vec<(Array, Settings)>, options: &Options) -> io::Result<Running> {
    let journal =
        options.state.as_ref().map(|path| Journal::open(path, &mut arrays)).transpose()?;
    let journal = journal.map(|journal| Arc::new(Mutex::new(journal)));
    let (acceptor, certificate) =
        if options.tls { certificate(options.address)? } else { (None, None) };
    let faults = Arc::new(Mutex::new(Faults::new(options.faults.clone(), options.seed)));
    let port = |index: u16| if options.port == 0 { 0 } else { options.port + index };
    let scheme = if options.tls { "https" } else { "http" };
    let page = TcpListener::bind(SocketAddr::new(options.address, port(0))).await?;
    let mut all = Vec::new();
    for (index, (array, settings)) in (1..).zip(arrays) {
        let listener = TcpListener::bind(SocketAddr::new(options.address, port(index))).await?;
        let served = Arc::new(Served {
            endpoint: Endpoint {
                kind: array.kind(),
                name: settings.name,
                url: format!("{scheme}://{}", listener.local_addr()?),
                token: settings.token,
            },
            array: Mutex::new(array),
            calls: Mutex::default(),
            journal: journal.clone(),
            bucket: options.rate.map(|rate| Mutex::new(Bucket::new(rate))),
            faults: Arc::clone(&faults),
            request_hook: options.request_hook.clone(),
            sent: Arc::default(),
            late: AtomicU64::new(0),
        });
        let router = Router::new().fallback(api).with_state(Arc::clone(&served));
        tokio::spawn(accept(listener, acceptor.clone(), router));
        all.push(served);
    }
    let running = Running {
        arrays: all.iter().map(|served| served.endpoint.clone()).collect(),
        page: format!("http://{}", page.local_addr()?),
        certificate,
    };
    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/state", get(state))
        .route("/faults", put(set_faults))
        .route("/faults/seed", put(set_seed))
        .route("/arrays/{name}/sessions", axum::routing::delete(cut_sessions))
        .route("/arrays/{name}/token", axum::routing::delete(revoke_token))
        .with_state(Arc::new(all));
    tokio::spawn(accept(page, None, router));
    Ok(running)
}

/// Handles a request to an array.
async fn api(State(served): State<Arc<Served>>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let id = parts.headers.get("x-request-id").cloned();
    let Ok(bytes) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let method = match parts.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PATCH" => Method::Patch,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
    let body = if bytes.is_empty() { Ok(Json::Null) } else { serde_json::from_slice(&bytes) };
    let (Ok(Query(query)), Ok(body)) = (query, body) else {
        let body = json!({"errors": [{"message": "The request cannot be read."}]});
        return (StatusCode::BAD_REQUEST, JsonBody(body)).into_response();
    };
    let header = |name: &str| text(&parts.headers, name);
    let request = Request {
        method,
        path: parts.uri.path().to_owned(),
        query,
        api_token: header("api-token"),
        session: header("x-auth-token"),
        body,
    };
    let fault = lock(&served.faults).decide(&served.endpoint.name, &request);
    if let Some(Fault::Slow { delay }) = fault {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let (takes, limits) = match &served.bucket {
        Some(bucket) => lock(bucket).take(now()),
        None => (true, Vec::new()),
    };
    let fault = if takes { fault } else { Some(Fault::Throttled { retry_after: None }) };
    let mut answer = served.answer(&request, fault);
    if let Some(answer) = &mut answer {
        answer.headers.extend(limits);
    }
    served.note(&request, fault, answer.as_ref());
    let Some(answer) = answer else {
        let mut response = Response::default();
        response.extensions_mut().insert(Unanswered);
        return response;
    };
    let faulty_response =
        fault.and_then(|fault| hostile::faulty_response(fault, &answer, &served.sent));
    let mut response = faulty_response.unwrap_or_else(|| {
        let status = StatusCode::from_u16(answer.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, JsonBody(answer.body)).into_response()
    });
    let headers = response.headers_mut();
    for (name, value) in answer.headers {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    if let Some(id) = id {
        headers.insert("x-request-id", id);
    }
    response
}

impl Served {
    /// Returns the response, or `None` when the connection ends without one.
    fn answer(self: &Arc<Self>, request: &Request, fault: Option<Fault>) -> Option<Answer> {
        let refused = |status: u16, message: &str| {
            let body = match status {
                403 | 429 => json!({ "message": message }),
                _ => json!({"errors": [{ "message": message }]}),
            };
            Some(Answer { status, headers: Vec::new(), body })
        };
        let request = &hostile::asked(request, fault);
        let apply = || self.apply(request);
        match fault {
            None
            | Some(
                Fault::Slow { .. }
                | Fault::Mounted
                | Fault::EndlessPages
                | Fault::LongNames { .. }
                | Fault::SteeringNames
                | Fault::SteeringError
                | Fault::LargeError { .. }
                | Fault::LargeAnswer { .. }
                | Fault::Drip { .. }
                | Fault::Compressed,
            ) => Some(apply()),
            Some(Fault::Throttled { retry_after }) => {
                let mut answer = refused(429, "Too many requests.")?;
                answer.headers.extend(retry_after.map(|s| ("retry-after", s.to_string())));
                Some(answer)
            }
            Some(Fault::Busy) => refused(500, "Server is busy"),
            Some(Fault::Unavailable) => refused(503, "Service unavailable."),
            Some(Fault::Forbidden) => refused(403, "The user may not do this."),
            Some(Fault::LimitReached) => refused(400, "The limit of objects is reached."),
            Some(Fault::EradicationDisabled) => refused(400, "Eradication is disabled."),
            Some(Fault::SessionCut) => {
                lock(&self.array).cut_sessions();
                Some(apply())
            }
            Some(Fault::TokenRevoked) => {
                lock(&self.array).revoke_token();
                Some(apply())
            }
            Some(Fault::Pretended) => Some(Answer::good(serde_json::json!({"items": []}))),
            Some(Fault::Twice) => {
                apply();
                Some(apply())
            }
            Some(Fault::AnswerLost) => {
                apply();
                None
            }
            Some(Fault::Late { delay }) => {
                let (served, request) = (Arc::clone(self), request.clone());
                served.late.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                    served.apply(&request);
                    served.late.fetch_sub(1, Ordering::Relaxed);
                });
                None
            }
            Some(Fault::Refused) => None,
        }
    }

    /// Lets the array process a request, and records it before the response is sent.
    fn apply(&self, request: &Request) -> Answer {
        let mut array = lock(&self.array);
        let now = now();
        let answer = array.answer(request, now);
        // A request that the array refused may still have changed it.
        let looked_at = matches!(answer.status, 200 | 400);
        let journal = self.journal.as_ref().filter(|_| looked_at && request.method != Method::Get);
        let Some(journal) = journal else { return answer };
        match lock(journal).add(&self.endpoint.name, request, now) {
            Ok(()) => answer,
            // The state would be lost at the next start, so the request fails.
            Err(error) => {
                let body = json!({"errors": [{"message": format!("state file: {error}")}]});
                Answer { status: 500, headers: Vec::new(), body }
            }
        }
    }

    fn note(&self, request: &Request, fault: Option<Fault>, answer: Option<&Answer>) {
        if let Some(RequestHook(request_hook)) = &self.request_hook {
            request_hook(&self.endpoint.name, request, answer);
        }
        let mut calls = lock(&self.calls);
        calls.count += 1;
        calls.recent.truncate(RECENT - 1);
        let number = calls.count;
        calls.recent.push_front(json!({
            "number": number, "time": now(), "method": request.method, "path": request.path, "query": request.query,
            "status": answer.map(|answer| answer.status), "fault": fault,
        }));
    }
}

/// Parameters of the page.
#[derive(Debug, serde::Deserialize)]
struct Shown {
    /// Number of objects of each kind.
    #[serde(default = "shown")]
    most: usize,
}

fn shown() -> usize {
    SHOWN
}

async fn state(
    State(all): State<Arc<Vec<Arc<Served>>>>,
    Query(Shown { most }): Query<Shown>,
) -> JsonBody<Json> {
    let arrays = all.iter().map(|served| {
        let Endpoint { kind, name, url, .. } = &served.endpoint;
        let array = lock(&served.array);
        let calls = lock(&served.calls);
        json!({
            "kind": kind, "name": name, "url": url, "logins": array.logins(),
            "contents": array.contents(most, now()), "requests": calls.count, "calls": calls.recent,
            "sent": served.sent.load(Ordering::Relaxed), "late": served.late.load(Ordering::Relaxed),
        })
    });
    let arrays: Vec<Json> = arrays.collect();
    let faults = all.first().map(|served| lock(&served.faults).rules().to_vec());
    JsonBody(json!({"arrays": arrays, "faults": faults}))
}

async fn set_faults(
    State(all): State<Arc<Vec<Arc<Served>>>>,
    JsonBody(rules): JsonBody<Vec<FaultRule>>,
) -> StatusCode {
    if let Some(served) = all.first() {
        lock(&served.faults).set(rules);
    }
    StatusCode::NO_CONTENT
}

async fn set_seed(
    State(all): State<Arc<Vec<Arc<Served>>>>,
    JsonBody(seed): JsonBody<u64>,
) -> StatusCode {
    if let Some(served) = all.first() {
        lock(&served.faults).seed(seed);
    }
    StatusCode::NO_CONTENT
}

async fn cut_sessions(
    State(all): State<Arc<Vec<Arc<Served>>>>,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> StatusCode {
    on(&all, &name, Array::cut_sessions)
}

async fn revoke_token(
    State(all): State<Arc<Vec<Arc<Served>>>>,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> StatusCode {
    on(&all, &name, Array::revoke_token)
}

fn on(all: &[Arc<Served>], name: &str, change: impl Fn(&mut Array)) -> StatusCode {
    match all.iter().find(|served| served.endpoint.name == name) {
        Some(served) => {
            change(&mut lock(&served.array));
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let name = header::HeaderName::from_bytes(name.as_bytes()).ok()?;
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Locks a mutex, even after a panic in another thread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
