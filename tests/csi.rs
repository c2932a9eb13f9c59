//! csi-sanity, the test of the Kubernetes storage group for CSI drivers, against the services. `tests/csi/run` starts the
//! Controller service and calls this.

#[path = "node_simulation/effects.rs"]
mod effects;
#[path = "node_simulation/host.rs"]
mod host;
#[expect(dead_code, reason = "csi-sanity needs no faults")]
#[path = "node_simulation/kernel.rs"]
mod kernel;
#[path = "csi/model.rs"]
mod model;
#[path = "node_simulation/mounts.rs"]
mod mounts;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use pso_gen::csi::{NodeMetrics, NodeSockets, serve_node};
use tokio::sync::oneshot;

/// Returns a variable that `tests/csi/run` sets.
fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/csi/run"))
}

#[tokio::test]
#[ignore = "needs csi-sanity: tests/csi/run"]
async fn csi_sanity() {
    let folder = PathBuf::from(given("SANITY_FOLDER"));
    let sockets = NodeSockets { csi: folder.join("node.sock"), registration: None };
    let (end, ended) = oneshot::channel::<()>();
    let node = Arc::new(model::Modelled::new());
    let socket = sockets.csi.clone();
    let server = tokio::spawn(async move {
        let ended = async { drop(ended.await) };
        serve_node(node, &sockets, NodeMetrics::new(), ended).await
    });
    while !socket.exists() {
        assert!(!server.is_finished(), "the node service ended");
        tokio::task::yield_now().await;
    }
    let at = |name: &str| folder.join(name).display().to_string();
    let mut sanity = Command::new(given("SANITY"));
    sanity
        .arg(format!("--csi.endpoint=unix:{}", socket.display()))
        .arg(format!("--csi.controllerendpoint=unix:{}", at("controller.sock")))
        .arg(format!("--csi.mountdir={}", at("mount")))
        .arg(format!("--csi.stagingdir={}", at("staging")))
        .arg(format!("--csi.testvolumemutableparameters={}", at("limits.yaml")))
        .args(["--csi.testvolumesize=1073741824", "--csi.testvolumeexpandsize=2147483648"])
        .args(["--ginkgo.no-color", "--ginkgo.v"])
        .arg(format!("--ginkgo.focus={}", given("SANITY_FOCUS")))
        .stdin(Stdio::null());
    let done = tokio::task::spawn_blocking(move || sanity.status());
    let status = done.await.expect("no panic").expect("csi-sanity starts");
    assert!(status.success(), "csi-sanity: {status}");
    end.send(()).expect("the node service is there");
    server.await.expect("no panic").expect("a good end");
}
