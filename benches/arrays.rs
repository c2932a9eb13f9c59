//! What a volume costs: requests, time and memory of one client against a simulated array, beside the
//! vendor's SDK on the same one; and what a page of a long list costs the simulator.
//!
//!   cargo bench --bench arrays
//!
//! `PSO_GEN_SDK` names a Python that has py-pure-client (tests/sdk/run makes one); without it there is no
//! peer in the run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it measures")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded to print them")]

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use pso_gen::arrays::{Array, Endpoint, FlashArray, FlashBlade, RequestLimits, TokenFile, Trust};
use pso_gen::contract::{
    ExportRule, NfsVersions, Owner, Qos, Squash, VolumeName, VolumeOptions, VolumeRequest,
};
use pso_gen::simulator::{self, Method, Request, Settings};
use serde_json::{Value as Json, json};

const VOLUMES: usize = 1000;
const OBJECTS: usize = 100_000;

type Anything = Box<dyn Error>;

fn main() -> Result<(), Anything> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(volumes("FlashBlade"))?;
    runtime.block_on(volumes("FlashArray"))?;
    pages();
    Ok(())
}

/// The simulator as a process of its own, so that memory is the client's.
struct Simulator {
    process: Child,
    told: Json,
}

impl Simulator {
    fn start() -> Result<Self, Anything> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .args(["simulate", "--format", "json"])
            .stdout(Stdio::piped())
            .spawn()?;
        let told = process.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line)?;
        Ok(Self { process, told: serde_json::from_str(&line)? })
    }

    fn array(&self, kind: &str) -> &Json {
        let arrays = self.told["arrays"].as_array().into_iter().flatten();
        arrays.into_iter().find(|array| array["kind"] == kind).unwrap_or(&Json::Null)
    }

    /// Requests and log-ins that an array has had so far.
    async fn counts(&self, kind: &str) -> Result<(u64, u64), Anything> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let page = self.told["page"].as_str().unwrap_or_default();
        let state: Json = reqwest::get(format!("{page}/state")).await?.json().await?;
        let arrays = state["arrays"].as_array().into_iter().flatten();
        let array = arrays.into_iter().find(|array| array["kind"] == kind).ok_or("no array")?;
        let number = |field: &str| array[field].as_u64().unwrap_or_default();
        Ok((number("requests"), number("logins")))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn wanted(kind: &str, number: usize) -> Result<VolumeRequest, Anything> {
    let nodes = ExportRule::new("10.20.0.0/16", false, Squash::None).ok_or("no client")?;
    Ok(VolumeRequest {
        name: VolumeName::new(format!("bench-pvc-{number:06}")).ok_or("no name")?,
        owner: Owner {
            cluster: "bench".to_owned(),
            namespace: "files".to_owned(),
            claim: format!("data-{number}"),
            uid: number.to_string(),
            ..Owner::default()
        },
        size: 1 << 30,
        source: None,
        details: if kind == "FlashBlade" {
            VolumeOptions::File { exports: vec![nodes], nfs: NfsVersions { v3: false, v4_1: true } }
        } else {
            VolumeOptions::Block { default_protection: true, qos: Qos::default() }
        },
    })
}

async fn volumes(kind: &'static str) -> Result<(), Anything> {
    let simulator = Simulator::start()?;
    let folder = tempfile::tempdir()?;
    let told = simulator.array(kind);
    fs::write(folder.path().join("token"), text(&told["token"]))?;
    fs::write(folder.path().join("ca.pem"), text(&simulator.told["certificate"]))?;
    let endpoint = Endpoint {
        name: text(&told["name"]),
        management: text(&told["url"]).trim_start_matches("https://").to_owned(),
        token: TokenFile::new(folder.path().join("token")),
        trust: Trust::Ca(folder.path().join("ca.pem")),
        id: None,
        limits: RequestLimits::default(),
        observer: None,
    };
    let array: Arc<dyn Array> = match kind {
        "FlashBlade" => Arc::new(FlashBlade::new(endpoint)?),
        _ => Arc::new(FlashArray::new(endpoint)?),
    };
    let before = resident()?;
    let start = Instant::now();
    let mut calls = Vec::new();
    for number in 0..VOLUMES {
        let (array, wanted) = (Arc::clone(&array), wanted(kind, number)?);
        calls.push(tokio::spawn(async move {
            let start = Instant::now();
            array.ensure(&wanted).await.map(|_| start.elapsed())
        }));
    }
    let mut times = Vec::new();
    for call in calls {
        times.push(call.await??);
    }
    let all = start.elapsed();
    let memory = resident()?.saturating_sub(before);
    let (requests, logins) = simulator.counts(kind).await?;
    // Versions, log-in and which array it is: once.
    let volume_requests = requests - 3;
    println!(
        "{kind}: {VOLUMES} volumes at once in {:.2} s, {:.0}/s; {} requests a volume; {logins} log-in",
        all.as_secs_f64(),
        times.len() as f64 / all.as_secs_f64(),
        volume_requests as f64 / VOLUMES as f64,
    );
    println!(
        "  from asking to having: {}; memory +{:.1} MiB",
        spread(&mut times),
        mebibytes(memory)
    );

    // One after the other: what one volume takes when nothing waits.
    let mut times = Vec::new();
    for number in VOLUMES..VOLUMES + 300 {
        let start = Instant::now();
        array.ensure(&wanted(kind, number)?).await?;
        times.push(start.elapsed());
    }
    println!("  one after the other: {}", spread(&mut times));
    if let (Some(python), "FlashBlade") = (env::var_os("PSO_GEN_SDK"), kind) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/sdk.py");
        let url = text(&told["url"]);
        let peer = Command::new(python).arg(script).arg(url).arg(text(&told["token"])).output()?;
        let line = String::from_utf8(peer.stdout)?;
        print!("  py-pure-client, one after the other: {line}");
        eprint!("{}", String::from_utf8_lossy(&peer.stderr));
    }
    Ok(())
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms", at(50), at(99))
}

/// Memory of this process, in bytes.
fn resident() -> Result<u64, Anything> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A page of 1,000 at the beginning, in the middle and at the end of a long list.
fn pages() {
    let settings = Settings { limit: OBJECTS + 1, ..Settings::default() };
    let token = settings.token.clone();
    let mut array = simulator::FlashArray::new(settings);
    let now = 1_700_000_000_000;
    let path = |resource: &str| format!("/api/2.56/{resource}");
    let login = Request {
        method: Method::Post,
        path: path("login"),
        query: [].into(),
        api_token: Some(token),
        session: None,
        body: Json::Null,
    };
    let session = array.answer(&login, now).headers.first().map(|(_, session)| session.clone());
    let mut ask = |method, query: &[(&str, &str)], body: Json| {
        let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let session = session.clone();
        let path = path("volumes");
        array.answer(&Request { method, path, query, api_token: None, session, body }, now)
    };
    let start = Instant::now();
    for number in 0..OBJECTS {
        let name = format!("volume-{number:06}");
        ask(Method::Post, &[("names", &name)], json!({"provisioned": 1 << 30}));
    }
    println!("simulator: {OBJECTS} volumes made in {:.2} s", start.elapsed().as_secs_f64());
    let mut times = Vec::new();
    let mut token = String::new();
    loop {
        let query = [("limit", "1000"), ("continuation_token", token.as_str())];
        let start = Instant::now();
        let answer = ask(Method::Get, &query, Json::Null);
        times.push(start.elapsed());
        match answer.body["continuation_token"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    let part = |range: std::ops::Range<usize>| spread(&mut times[range].to_vec());
    let end = times.len();
    println!("  its {end} pages: the first ten {}", part(0..10));
    println!("  the last ten {}", part(end - 10..end));
}
