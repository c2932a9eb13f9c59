//! Answers of arrays: both clients against a server that logs them in and then answers as the input says.
//!
//! The input is a list of answers with `\x01` between them, the first character of each being the status: `a` for 200,
//! `b` for 400, `c` for 404; after the last one comes an empty list. Texts of an error are plain and short, and an
//! operation ends after few requests.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use pso_gen::arrays::{
    Array, Endpoint, Error, FlashArray, FlashBlade, RequestLimits, TokenFile, Trust,
};
use pso_gen::contract::{
    ExportRule, NfsVersions, Owner, Qos, SnapshotSuffix, Squash, VolumeName, VolumeOptions,
    VolumeRequest,
};
use pso_gen::sanitize;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Most requests to one input.
const MOST_REQUESTS: usize = 2000;

/// What is answered next, and how often anything was asked.
#[derive(Default)]
struct Script {
    answers: VecDeque<(u16, Vec<u8>)>,
    requests: usize,
}

struct World {
    runtime: Runtime,
    script: Arc<Mutex<Script>>,
    flashblade: FlashBlade,
    flasharray: FlashArray,
    _folder: tempfile::TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(world);

pub(crate) fn answers(bytes: &[u8]) {
    let world = &*WORLD;
    let answers = bytes.split(|byte| *byte == 1).map(|answer| {
        let (status, body) = answer.split_first().unwrap_or((&b'a', &[]));
        let status = match status {
            b'b' => 400,
            b'c' => 404,
            _ => 200,
        };
        (status, body.to_vec())
    });
    let answers: VecDeque<_> = answers.collect();
    for array in [&world.flashblade as &dyn Array, &world.flasharray] {
        *world.script.lock().unwrap_or_else(PoisonError::into_inner) =
            Script { answers: answers.clone(), requests: 0 };
        world.runtime.block_on(use_array(array));
        let requests = world.script.lock().unwrap_or_else(PoisonError::into_inner).requests;
        assert!(requests < MOST_REQUESTS, "{requests} requests");
    }
}

/// Every operation. Those that come after the last answer find nothing.
async fn use_array(array: &dyn Array) {
    let is_file = array.name() == "fb1";
    let name = VolumeName::new("prod-pvc-1").expect("a name");
    let owner = Owner { cluster: "prod".to_owned(), uid: "1".to_owned(), ..Owner::default() };
    let rule = ExportRule::new("10.20.0.0/16", false, Squash::None).expect("a client");
    let details = if is_file {
        VolumeOptions::File { exports: vec![rule], nfs: NfsVersions { v3: false, v4_1: true } }
    } else {
        VolumeOptions::Block { default_protection: true, qos: Qos::default() }
    };
    let wanted = VolumeRequest {
        name: name.clone(),
        owner: owner.clone(),
        size: 1 << 30,
        source: None,
        details,
    };
    plainly(array.ensure(&wanted).await);
    plainly(array.list("prod-").await);
    plainly(array.capacity().await);
    plainly(array.transport().await);
    if let Some(Some(volume)) = plainly(array.describe(&name).await)
        && let Some(id) = volume.volume_id()
    {
        plainly(array.expand(&id, 2 << 30).await);
        let suffix = SnapshotSuffix::new("s1").expect("a suffix");
        plainly(array.snapshot(&id, &suffix).await);
        for snapshot in plainly(array.snapshots(&id).await).unwrap_or_default().iter().take(2) {
            plainly(array.destroy_snapshot(snapshot).await);
        }
        plainly(array.find(std::slice::from_ref(&id.id)).await);
        plainly(array.destroy(&id, &owner).await);
    }
}

/// An error is fit to be shown.
fn plainly<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            for text in [error.to_string(), format!("{error:?}"), error.advised()] {
                assert!(!text.chars().any(sanitize::steers), "{text:?}");
                assert!(text.chars().count() < 1000, "{} characters: {text}", text.chars().count());
            }
            None
        }
    }
}

fn world() -> World {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let script = Arc::new(Mutex::new(Script::default()));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "T-fuzzed").expect("written");

    let signed =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(folder.path().join("ca.pem"), signed.cert.pem()).expect("written");
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config =
        config.with_single_cert(vec![signed.cert.der().clone()], key).expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = Arc::clone(&script);
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, script) = (acceptor.clone(), Arc::clone(&served));
            tokio::spawn(async move {
                let _ = socket.set_nodelay(true);
                if let Ok(stream) = acceptor.accept(socket).await {
                    let _ = serve(stream, &script).await;
                }
            });
        }
    });
    let endpoint = |name: &str| Endpoint {
        name: name.to_owned(),
        management: address.to_string(),
        token: TokenFile::new(folder.path().join("token")),
        trust: Trust::Ca(folder.path().join("ca.pem")),
        id: None,
        // No answer is a busy array's, so that nothing waits; what does not end is found by its deadline.
        limits: RequestLimits {
            first_backoff: Duration::from_millis(1),
            longest_backoff: Duration::from_millis(1),
            credential_check: Duration::from_secs(3600),
            ..RequestLimits::default()
        },
        observer: None,
    };
    let flashblade = FlashBlade::new(endpoint("fb1")).expect("an address");
    let flasharray = FlashArray::new(endpoint("fa1")).expect("an address");
    World { runtime, script, flashblade, flasharray, _folder: folder }
}

/// Serves one connection: HTTP 1.1, as much of it as the clients need.
async fn serve(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    script: &Mutex<Script>,
) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        while read.len() < end + length.unwrap_or_default() {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        read.drain(..end + length.unwrap_or_default());
        let (status, body) = answer(head.split(' ').nth(1).unwrap_or_default(), script);
        let head = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\nx-auth-token: S-fuzzed\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.flush().await?;
    }
}

/// What a log-in needs is as it must be; all else is the input's.
fn answer(path: &str, script: &Mutex<Script>) -> (u16, Vec<u8>) {
    let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
    script.requests += 1;
    let resource = path.split('?').next().unwrap_or_default();
    let versions: Vec<String> = (0..=60).map(|minor| format!("2.{minor}")).collect();
    match resource.rsplit('/').next() {
        Some("api_version") => {
            let answer = serde_json::json!({"versions": versions, "version": versions});
            (200, answer.to_string().into_bytes())
        }
        Some("login" | "logout") => (200, b"{}".to_vec()),
        Some("arrays") if script.answers.is_empty() => {
            (200, br#"{"items": [{"id": "1", "name": "a"}]}"#.to_vec())
        }
        Some("arrays") if resource.starts_with("/api/2") && !path.contains('?') => {
            (200, br#"{"items": [{"id": "1", "name": "a"}]}"#.to_vec())
        }
        _ => script.answers.pop_front().unwrap_or_else(|| (200, br#"{"items": []}"#.to_vec())),
    }
}
