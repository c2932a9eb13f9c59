//! A tenant who has thousands of claims that cannot be, large objects, and connections that say nothing: others
//! get their volumes all the same.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::*;

/// Claims that are copies of one that is not there.
const STUCK: usize = 3000;
/// Claims of a class that is not ours, with annotations as large as they may be.
const LARGE: usize = 300;
/// Connections that are begun and left.
const HALF_OPEN: usize = 1000;
/// What the provisioner may have in memory at most, in KiB: half of what its pod may have.
const MEMORY: u64 = 256 << 10;

async fn create_all(claims: &Api<PersistentVolumeClaim>, all: Vec<Json>) {
    let all = all.into_iter().map(|claim| serde_json::from_value(claim).expect("typed"));
    let post = PostParams::default();
    let made = futures::stream::iter(all)
        .map(|claim: PersistentVolumeClaim| {
            let (claims, post) = (claims.clone(), post.clone());
            async move { claims.create(&post, &claim).await.map(drop) }
        })
        .buffer_unordered(32)
        .collect::<Vec<_>>();
    for made in made.await {
        made.expect("made");
    }
}

/// Returns what a process has had in memory at most, in KiB.
fn peak(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn one_tenant_stops_nobody() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stage = Stage::open("few").await;
    let namespaces = Api::<Namespace>::all(stage.client.clone());
    for name in ["many", "large"] {
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}}));
        let namespace = namespace.expect("typed");
        namespaces.create(&PostParams::default(), &namespace).await.expect("made");
    }
    let stuck = |number: usize| {
        let name = format!("stuck-{number}");
        let mut claim = serde_json::to_value(claim(&name, "pure-file", "1Gi")).expect("JSON");
        claim["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "missing"});
        claim
    };
    create_all(&stage.claims("many"), (0..STUCK).map(stuck).collect()).await;
    let text = "x".repeat(250 << 10);
    let large = |number: usize| {
        let name = format!("large-{number}");
        let mut claim = serde_json::to_value(claim(&name, "other", "1Gi")).expect("JSON");
        claim["metadata"]["annotations"] = json!({"example.com/large": text});
        claim
    };
    create_all(&stage.claims("large"), (0..LARGE).map(large).collect()).await;

    let provisioner = stage.spawn(&["--listen", "127.0.0.1:0"]);
    let address = || {
        let log = fs::read_to_string(stage.log()).unwrap_or_default();
        log.lines().find_map(|line| {
            let line: Json = serde_json::from_str(line).ok()?;
            line["fields"]["address"].as_str().map(str::to_owned)
        })
    };
    stage.until("it serves probes", async || address().is_some()).await;
    let address = address().expect("an address");
    let mut half_open = Vec::new();
    for _ in 0..HALF_OPEN {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        // One that has been ended says so here.
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nx: ").await;
        half_open.push(stream);
    }
    let claims = stage.claims("few");
    let post = PostParams::default();
    claims.create(&post, &claim("ours", "pure-file", "1Gi")).await.expect("made");
    let bound = async || {
        assert_eq!(get(&address, "/livez").await, (200, "ok\n".to_owned()));
        is_bound(&claims.get("ours").await.expect("read"))
    };
    stage.until("the other tenant's claim is bound", bound).await;
    let wait = async || get(&address, "/readyz").await.0 == 200;
    stage.until("it is ready", wait).await;
    assert!(peak(&provisioner) < MEMORY, "{} KiB", peak(&provisioner));
    drop(half_open);
}
