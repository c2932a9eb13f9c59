//! One simulated array over https, a client for it, and a record of what went over the wire.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pso_gen::arrays::{Array, Endpoint, FlashArray, FlashBlade, RequestLimits, TokenFile, Trust};
use pso_gen::contract::{
    ExportRule, NfsVersions, Owner, Qos, Squash, VolumeName, VolumeOptions, VolumeRequest,
};
use pso_gen::simulator::{self, Answer, Method, Options, Request, RequestHook, Running, Settings};
use serde_json::Value as Json;
use sha2::Digest as _;

use crate::document::Document;

/// The owner that all volumes of these tests have.
pub(crate) fn owner() -> Owner {
    Owner {
        cluster: "prod".to_owned(),
        namespace: "files".to_owned(),
        claim: "data".to_owned(),
        uid: "1".to_owned(),
        ..Owner::default()
    }
}

/// A file system that is wanted.
pub(crate) fn file(name: &str, size: u64) -> VolumeRequest {
    let nodes = ExportRule::new("10.20.0.0/16", false, Squash::None).expect("a client");
    let nfs = NfsVersions { v3: false, v4_1: true };
    wanted(name, size, VolumeOptions::File { exports: vec![nodes], nfs })
}

/// A block volume that is wanted.
pub(crate) fn block(name: &str, size: u64) -> VolumeRequest {
    wanted(name, size, VolumeOptions::Block { default_protection: true, qos: Qos::default() })
}

/// A block volume that is limited to as many bytes and operations per second.
pub(crate) fn limited(name: &str, size: u64, bandwidth: u64, iops: u64) -> VolumeRequest {
    let qos = Qos { bandwidth: Some(bandwidth), iops: Some(iops) };
    wanted(name, size, VolumeOptions::Block { default_protection: true, qos })
}

fn wanted(name: &str, size: u64, details: VolumeOptions) -> VolumeRequest {
    let name = VolumeName::new(name).expect("a name");
    VolumeRequest { name, owner: owner(), size, source: None, details }
}

/// What went over the wire, and what of it the official documents do not allow.
#[derive(Default)]
struct Wire {
    calls: Vec<(Method, String)>,
    wrong: Vec<String>,
}

/// One simulated array, and who looks on.
pub(crate) struct Bench {
    running: Running,
    folder: tempfile::TempDir,
    wire: Arc<Mutex<Wire>>,
    token: String,
    /// Newest REST version of the array, when that is not the newest there is.
    rest: Option<u32>,
    limits: RequestLimits,
    http: reqwest::Client,
}

impl Bench {
    pub(crate) async fn flashblade() -> Self {
        Self::flashblade_with(Settings::default()).await
    }

    pub(crate) async fn flashblade_with(settings: Settings) -> Self {
        let array = simulator::FlashBlade::new(settings.clone());
        Self::new(simulator::Array::FlashBlade(Box::new(array)), settings).await
    }

    pub(crate) async fn flasharray() -> Self {
        Self::flasharray_with(Settings::default()).await
    }

    pub(crate) async fn flasharray_with(settings: Settings) -> Self {
        let array = simulator::FlashArray::new(settings.clone());
        Self::new(simulator::Array::FlashArray(Box::new(array)), settings).await
    }

    /// A FlashArray that has so many volumes already.
    pub(crate) async fn flasharray_full(volumes: usize) -> Self {
        let settings = Settings::default();
        let mut array = simulator::FlashArray::new(settings.clone());
        let mut ask = |path: &str, query: &[(&str, &str)], session: Option<&String>, body: Json| {
            let request = Request {
                method: Method::Post,
                path: format!("/api/2.56/{path}"),
                query: query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
                api_token: Some(settings.token.clone()),
                session: session.cloned(),
                body,
            };
            let answer = array.answer(&request, 1_700_000_000_000);
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            answer
        };
        let login = ask("login", &[], None, Json::Null);
        let session = login.headers.first().map(|(_, session)| session.clone());
        for number in 0..volumes {
            let name = format!("prod-pvc-{number:08}-0000-4000-8000-000000000000");
            let body = serde_json::json!({"provisioned": 1 << 30});
            ask("volumes", &[("names", &name)], session.as_ref(), body);
        }
        Self::new(simulator::Array::FlashArray(Box::new(array)), settings).await
    }

    async fn new(array: simulator::Array, settings: Settings) -> Self {
        let document = Document::open(match array.kind() {
            "FlashBlade" => "flashblade-2.x.strict.json",
            _ => "flasharray-2.x.strict.json",
        });
        let wire = Arc::new(Mutex::new(Wire::default()));
        let seen = Arc::clone(&wire);
        let request_hook = move |_: &str, request: &Request, answer: Option<&Answer>| {
            // On a thread of the server, where a panic would only look like a lost connection.
            let checked = catch_unwind(AssertUnwindSafe(|| {
                let Some(document) = &document else { return };
                document.check_request(request);
                if let Some(answer) = answer {
                    document.check_answer(request, answer);
                }
            }));
            let rest = request.path.trim_start_matches("/api/");
            let versioned = rest.split_once('/').filter(|(version, _)| version.starts_with("2."));
            let resource = versioned.map_or(rest, |(_, resource)| resource);
            let mut seen = seen.lock().expect("the record");
            seen.calls.push((request.method, resource.to_owned()));
            if checked.is_err() {
                seen.wrong.push(format!("{request:?}\n{answer:?}"));
            }
        };
        let options =
            Options { request_hook: Some(RequestHook::new(request_hook)), ..Options::default() };
        let (token, rest) = (settings.token.clone(), settings.rest);
        let running = simulator::serve(vec![(array, settings)], &options).await.expect("served");
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = running.certificate.as_deref().expect("https");
        std::fs::write(folder.path().join("ca.pem"), certificate).expect("written");
        // Waits are short, so that tests are fast. Deadlines are long, so that a slow machine reaches none; a test of a
        // deadline sets its own.
        let limits = RequestLimits {
            first_backoff: Duration::from_millis(5),
            longest_backoff: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(120),
            operation_timeout: Duration::from_secs(600),
            list_timeout: Duration::from_secs(600),
            // At every request: no test waits for the time to look again.
            credential_check: Duration::ZERO,
            ..RequestLimits::default()
        };
        // An error only says that another test has done it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
        let http = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
        let bench = Self { running, folder, wire, token, rest, limits, http };
        bench.write_token(&bench.token);
        bench
    }

    /// Lets clients wait for at most so long for an answer, and for an operation.
    pub(crate) fn with_timeouts(
        mut self,
        request_timeout: Duration,
        operation_timeout: Duration,
    ) -> Self {
        self.limits = RequestLimits {
            request_timeout,
            operation_timeout,
            list_timeout: operation_timeout,
            ..self.limits
        };
        self
    }

    /// Bytes of large bodies that the array has handed out.
    pub(crate) async fn sent(&self) -> u64 {
        self.state().await["sent"].as_u64().expect("a number")
    }

    /// Waits until the array has done what came to it late.
    pub(crate) async fn nothing_is_late(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.state().await["late"] != 0 {
            assert!(Instant::now() < deadline, "a request is late for a minute");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn state(&self) -> Json {
        let state = self.http.get(format!("{}/state", self.running.page)).send().await;
        let mut state: Json = state.expect("an answer").json().await.expect("JSON");
        state["arrays"][0].take()
    }

    /// Lets what goes wrong by chance follow from a seed.
    pub(crate) async fn with_seed(self, seed: u64) -> Self {
        self.control("PUT", "/faults/seed", seed.into()).await;
        self
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        let array = &self.running.arrays[0];
        Endpoint {
            name: array.name.clone(),
            management: array.url.trim_start_matches("https://").to_owned(),
            token: TokenFile::new(self.token_file()),
            trust: Trust::Ca(self.folder.path().join("ca.pem")),
            id: None,
            limits: self.limits,
            observer: None,
        }
    }

    pub(crate) fn is_flashblade(&self) -> bool {
        self.running.arrays[0].kind == "FlashBlade"
    }

    pub(crate) fn client(&self) -> Arc<dyn Array> {
        if self.is_flashblade() {
            Arc::new(FlashBlade::new(self.endpoint()).expect("an address"))
        } else {
            self.flasharray_client()
        }
    }

    pub(crate) fn flasharray_client(&self) -> Arc<FlashArray> {
        Arc::new(FlashArray::new(self.endpoint()).expect("an address"))
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), token).expect("written");
    }

    /// How often a resource was asked for.
    pub(crate) fn calls(&self, method: Method, resource: &str) -> usize {
        let wire = self.wire.lock().expect("the record");
        wire.calls.iter().filter(|call| **call == (method, resource.to_owned())).count()
    }

    /// How often anything was asked for.
    pub(crate) fn all_calls(&self) -> usize {
        self.wire.lock().expect("the record").calls.len()
    }

    pub(crate) fn logins(&self) -> usize {
        self.calls(Method::Post, "login")
    }

    /// SHA-256 of the array's public key.
    pub(crate) fn pin(&self) -> [u8; 32] {
        use rustls::pki_types::pem::PemObject as _;
        let pem = self.running.certificate.as_deref().expect("https");
        let der = rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes());
        let der = der.expect("a certificate");
        let parsed = rustls::server::ParsedCertificate::try_from(&der).expect("a certificate");
        sha2::Sha256::digest(parsed.subject_public_key_info()).into()
    }

    /// Tells the simulator something by its page's server.
    pub(crate) async fn control(&self, method: &str, path: &str, body: Json) {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.running.page);
        let answer = self.http.request(method, url).json(&body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// Returns an object as it is on the array.
    pub(crate) async fn object(&self, kind: &str, name: &str) -> Json {
        let kinds = self.contents().await;
        let collection =
            kinds.into_iter().find(|collection| collection["kind"] == kind).expect("a kind");
        let objects = collection["objects"].as_array().expect("objects");
        objects.iter().find(|object| object["name"] == name).expect("an object").clone()
    }

    /// Returns all objects on the array, by kind.
    pub(crate) async fn contents(&self) -> Vec<Json> {
        self.state().await["contents"]["kinds"].as_array().expect("kinds").clone()
    }

    /// Does something on the array by hand, as its administrator.
    pub(crate) async fn send(
        &self,
        method: Method,
        resource: &str,
        query: &[(&str, &str)],
        body: Json,
    ) {
        let url = &self.running.arrays[0].url;
        let newest = if self.is_flashblade() { 28 } else { 56 };
        let version = format!("2.{}", self.rest.unwrap_or(newest));
        let login =
            if self.is_flashblade() { "login".to_owned() } else { format!("{version}/login") };
        let login = self.http.post(format!("{url}/api/{login}")).header("api-token", &self.token);
        let login = login.send().await.expect("an answer");
        let session = login.headers()["x-auth-token"].clone();
        let method = serde_json::to_value(method).expect("a word");
        let method = method.as_str().and_then(|method| method.parse().ok()).expect("a method");
        let request = self.http.request(method, format!("{url}/api/{version}/{resource}"));
        let request = request.query(query).header("x-auth-token", session);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{resource}: {:?}", answer.text().await);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let wrong = self.wire.lock().map(|wire| wire.wrong.clone()).unwrap_or_default();
        if !std::thread::panicking() {
            assert!(wrong.is_empty(), "not in the official document: {wrong:#?}");
        }
    }
}
