//! The services over real sockets, as kubelet calls them, with a node service that only notes what it is asked.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tonic::codegen::http::{self, uri::PathAndQuery};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::message::*;
use super::{NodeMetrics, NodeSockets, serve_node};
use crate::contract::{Attachment, BlockTransport, ChapSecret, DRIVER, NodeId};
use crate::node::{
    Access, ExpandRequest, FsType, NodeError, NodeErrorKind, NodeIdentity, NodeService,
    PublishRequest, StageRequest, Usage, VolumeHandle, VolumeMode, VolumeStats,
};

/// A node service that records calls, and fails or waits as a test sets it.
#[derive(Debug, Default)]
struct Recorder {
    calls: Mutex<Vec<String>>,
    fail: Mutex<Option<NodeError>>,
    /// Lets calls wait until they are let go.
    hold: Option<Arc<Notify>>,
    identity: NodeIdentity,
}

impl Recorder {
    async fn record(&self, call: String) -> Result<(), NodeError> {
        self.calls.lock().expect("free").push(call);
        if let Some(hold) = &self.hold {
            hold.notified().await;
        }
        match self.fail.lock().expect("free").take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl NodeService for Recorder {
    async fn stage(&self, request: StageRequest) -> Result<(), NodeError> {
        self.record(format!("{request:?}")).await
    }

    async fn unstage(&self, volume: &VolumeHandle, staging: &Path) -> Result<(), NodeError> {
        self.record(format!("unstage {volume} {}", staging.display())).await
    }

    async fn publish(&self, request: PublishRequest) -> Result<(), NodeError> {
        self.record(format!("{request:?}")).await
    }

    async fn unpublish(&self, volume: &VolumeHandle, target: &Path) -> Result<(), NodeError> {
        self.record(format!("unpublish {volume} {}", target.display())).await
    }

    async fn stats(
        &self,
        volume: &VolumeHandle,
        path: &Path,
        staging: Option<&Path>,
    ) -> Result<VolumeStats, NodeError> {
        self.record(format!("stats {volume} {} {staging:?}", path.display())).await?;
        Ok(VolumeStats {
            bytes: Usage { total: 30, used: 10, available: 19 },
            inodes: Some(Usage { total: 3, used: 1, available: 2 }),
            abnormal: Some("no path to the array is left".to_owned()),
        })
    }

    async fn expand(&self, request: ExpandRequest) -> Result<u64, NodeError> {
        self.record(format!("{request:?}")).await?;
        Ok(7 << 30)
    }

    async fn identity(&self) -> Result<NodeIdentity, NodeError> {
        Ok(self.identity.clone())
    }
}

/// A node service on its sockets.
struct TestServer {
    node: Arc<Recorder>,
    metrics: NodeMetrics,
    folder: tempfile::TempDir,
    end: Option<oneshot::Sender<()>>,
    server: tokio::task::JoinHandle<Result<(), super::ServeError>>,
}

impl TestServer {
    async fn new(node: Recorder) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sockets = NodeSockets {
            csi: folder.path().join("csi.sock"),
            registration: Some(folder.path().join("reg.sock")),
        };
        let registration = folder.path().join("reg.sock");
        let (end, ended) = oneshot::channel::<()>();
        let node = Arc::new(node);
        let service = Arc::clone(&node);
        let metrics = NodeMetrics::new();
        let counts = metrics.clone();
        let server = tokio::spawn(async move {
            let ended = async { drop(ended.await) };
            serve_node(service, &sockets, counts, ended).await
        });
        // The last of the two to appear.
        while !registration.exists() {
            assert!(!server.is_finished(), "it ended");
            tokio::task::yield_now().await;
        }
        Self { node, metrics, folder, end: Some(end), server }
    }

    fn csi(&self) -> PathBuf {
        self.folder.path().join("csi.sock")
    }

    fn calls(&self) -> Vec<String> {
        self.node.calls.lock().expect("free").clone()
    }

    async fn node<Q, A>(&self, call: &'static str, request: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        send(&self.csi(), &format!("/csi.v1.Node/{call}"), request).await
    }
}

/// Sends a request over a connection of its own, as kubelet does.
async fn send<Q, A>(socket: &Path, call: &str, request: Q) -> Result<A, Status>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    let stream = UnixStream::connect(socket).await.expect("a server");
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    let service = service_fn(move |request: http::Request<tonic::body::Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let origin = http::Uri::from_static("http://localhost");
    let mut client = tonic::client::Grpc::with_origin(service, origin);
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path: PathAndQuery = call.parse().expect("a path");
    let answer = client.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await?;
    Ok(answer.into_inner())
}

fn attachment() -> Attachment {
    Attachment {
        transport: BlockTransport::Iscsi,
        target: "iqn.2010-06.com.purestorage:a".to_owned(),
        portals: vec!["198.51.100.1:3260".to_owned()],
        lun: 1,
        serial: "0123456789ABCDEF01234567".to_owned(),
        size: 1 << 30,
        never_formatted: true,
    }
}

fn single(access_type: AccessType) -> VolumeCapability {
    let access_mode = Some(AccessMode { mode: Mode::SingleNodeWriter.into() });
    VolumeCapability { access_type: Some(access_type), access_mode }
}

fn stage() -> NodeStageVolumeRequest {
    let fs_type = "xfs".to_owned();
    NodeStageVolumeRequest {
        volume_id: "a/1".to_owned(),
        publish_context: attachment().to_context(),
        staging_target_path: "/staging".to_owned(),
        volume_capability: Some(single(AccessType::Mount(MountVolume {
            fs_type,
            ..Default::default()
        }))),
        ..NodeStageVolumeRequest::default()
    }
}

fn unstage() -> NodeUnstageVolumeRequest {
    NodeUnstageVolumeRequest {
        volume_id: "a/1".to_owned(),
        staging_target_path: "/staging".to_owned(),
    }
}

fn publish() -> NodePublishVolumeRequest {
    NodePublishVolumeRequest {
        volume_id: "a/1".to_owned(),
        staging_target_path: "/staging".to_owned(),
        target_path: "/target".to_owned(),
        volume_capability: Some(single(AccessType::Block(BlockVolume {}))),
        readonly: true,
        ..NodePublishVolumeRequest::default()
    }
}

#[tokio::test]
async fn kubelets_calls_reach_the_node_in_plain_words() {
    let served = TestServer::new(Recorder::default()).await;
    let handle = VolumeHandle { array_id: "a".to_owned(), volume_id: "1".to_owned() };
    let file_system =
        |fs_type| VolumeMode::FileSystem { fs_type, mount_options: vec![], group: None };
    let _: NodeStageVolumeResponse = served.node("NodeStageVolume", stage()).await.expect("staged");
    let _: NodePublishVolumeResponse =
        served.node("NodePublishVolume", publish()).await.expect("published");
    let stats = NodeGetVolumeStatsRequest {
        volume_id: "a/1".to_owned(),
        volume_path: "/target".to_owned(),
        staging_target_path: String::new(),
    };
    let stats: NodeGetVolumeStatsResponse =
        served.node("NodeGetVolumeStats", stats).await.expect("known");
    let expand = NodeExpandVolumeRequest {
        volume_id: "a/1".to_owned(),
        volume_path: "/target".to_owned(),
        capacity_range: Some(CapacityRange { required_bytes: 5, limit_bytes: 0 }),
        staging_target_path: "/staging".to_owned(),
        volume_capability: Some(single(AccessType::Mount(MountVolume::default()))),
        ..NodeExpandVolumeRequest::default()
    };
    let grown: NodeExpandVolumeResponse =
        served.node("NodeExpandVolume", expand).await.expect("expanded");
    let unpublish = NodeUnpublishVolumeRequest {
        volume_id: "a/1".to_owned(),
        target_path: "/target".to_owned(),
    };
    let _: NodeUnpublishVolumeResponse =
        served.node("NodeUnpublishVolume", unpublish).await.expect("unpublished");
    let _: NodeUnstageVolumeResponse =
        served.node("NodeUnstageVolume", unstage()).await.expect("unstaged");

    let staged = StageRequest {
        handle: handle.clone(),
        staging: "/staging".into(),
        mode: file_system(FsType::Xfs),
        attachment: attachment(),
        access: Access::SingleNodeWriter,
        passwords: ChapSecret::default(),
    };
    let published = PublishRequest {
        handle: handle.clone(),
        staging: "/staging".into(),
        target: "/target".into(),
        mode: VolumeMode::Block,
        read_only: true,
    };
    let expanded = ExpandRequest {
        handle,
        path: "/target".into(),
        staging: Some("/staging".into()),
        wanted: Some(5),
        mode: Some(file_system(FsType::Ext4)),
    };
    let expected = [
        format!("{staged:?}"),
        format!("{published:?}"),
        "stats a/1 /target None".to_owned(),
        format!("{expanded:?}"),
        "unpublish a/1 /target".to_owned(),
        "unstage a/1 /staging".to_owned(),
    ];
    assert_eq!(served.calls(), expected);
    let counts = served.metrics.text();
    for operation in ["stage", "publish", "stats", "expand", "unpublish", "unstage"] {
        let series =
            format!("pso_gen_node_operations_total{{code=\"OK\",operation=\"{operation}\"}} 1\n");
        assert!(counts.contains(&series), "{operation}: {counts}");
    }
    assert_eq!(grown.capacity_bytes, 7 << 30);
    let usage = |unit: UsageUnit, total, used, available| VolumeUsage {
        unit: unit.into(),
        total,
        used,
        available,
    };
    let bytes = usage(UsageUnit::Bytes, 30, 10, 19);
    assert_eq!(stats.usage, [bytes, usage(UsageUnit::Inodes, 3, 1, 2)]);
    let condition = stats.volume_condition.expect("a condition");
    assert_eq!((condition.abnormal, &*condition.message), (true, "no path to the array is left"));
}

#[tokio::test]
async fn what_a_request_lacks_never_reaches_the_node() {
    let served = TestServer::new(Recorder::default()).await;
    let code = |answer: Result<NodeStageVolumeResponse, Status>| answer.expect_err("wrong").code();
    let staging = String::new();
    for wrong in [
        NodeStageVolumeRequest { volume_id: String::new(), ..stage() },
        NodeStageVolumeRequest { staging_target_path: staging, ..stage() },
        NodeStageVolumeRequest { staging_target_path: "/a/../b".to_owned(), ..stage() },
        NodeStageVolumeRequest { volume_capability: None, ..stage() },
        NodeStageVolumeRequest { publish_context: StringMap::new(), ..stage() },
    ] {
        assert_eq!(code(served.node("NodeStageVolume", wrong).await), Code::InvalidArgument);
    }
    let foreign = NodeStageVolumeRequest { volume_id: "pvc-1".to_owned(), ..stage() };
    assert_eq!(code(served.node("NodeStageVolume", foreign).await), Code::NotFound);
    for wrong in [
        NodePublishVolumeRequest { target_path: String::new(), ..publish() },
        NodePublishVolumeRequest { staging_target_path: String::new(), ..publish() },
        NodePublishVolumeRequest { volume_capability: None, ..publish() },
    ] {
        let answer: Result<NodePublishVolumeResponse, _> =
            served.node("NodePublishVolume", wrong).await;
        assert_eq!(answer.expect_err("wrong").code(), Code::InvalidArgument);
    }
    let unknown: Result<ProbeResponse, _> = served.node("NodeDance", ProbeRequest {}).await;
    assert_eq!(unknown.expect_err("no call").code(), Code::Unimplemented);
    assert_eq!(served.calls(), Vec::<String>::new());
    let counts = served.metrics.text();
    let series =
        "pso_gen_node_operations_total{code=\"InvalidArgument\",operation=\"publish\"} 3\n";
    assert!(counts.contains(series), "{counts}");
}

#[tokio::test]
async fn an_error_of_the_node_has_the_code_of_its_kind() {
    let served = TestServer::new(Recorder::default()).await;
    for (kind, code) in [
        (NodeErrorKind::InvalidArgument, Code::InvalidArgument),
        (NodeErrorKind::NotFound, Code::NotFound),
        (NodeErrorKind::FailedPrecondition, Code::FailedPrecondition),
        (NodeErrorKind::Aborted, Code::Aborted),
        (NodeErrorKind::ResourceExhausted, Code::ResourceExhausted),
        (NodeErrorKind::OutOfRange, Code::OutOfRange),
        (NodeErrorKind::DeadlineExceeded, Code::DeadlineExceeded),
        (NodeErrorKind::Unavailable, Code::Unavailable),
        (NodeErrorKind::Internal, Code::Internal),
    ] {
        let fail = || {
            let error = NodeError::new(kind, "the serial differs\u{1b}[2J");
            *served.node.fail.lock().expect("free") = Some(error);
        };
        fail();
        let unstaged: Result<NodeUnstageVolumeResponse, _> =
            served.node("NodeUnstageVolume", unstage()).await;
        fail();
        let staged: Result<NodeStageVolumeResponse, _> =
            served.node("NodeStageVolume", stage()).await;
        fail();
        let published: Result<NodePublishVolumeResponse, _> =
            served.node("NodePublishVolume", publish()).await;
        let is_kept = matches!(code, Code::InvalidArgument | Code::Aborted);
        let unfinished = if is_kept { code } else { Code::Unavailable };
        for (status, code) in [
            (unstaged.expect_err("it fails"), code),
            // Kubelet would take another code as final, and never unstage what is there.
            (staged.expect_err("it fails"), unfinished),
            (published.expect_err("it fails"), unfinished),
        ] {
            assert_eq!(status.code(), code);
            assert_eq!(status.message(), "the serial differs\u{fffd}[2J");
        }
    }
}

#[tokio::test]
async fn a_second_call_for_a_volume_is_refused_while_the_first_is_at_work() {
    let hold = Arc::new(Notify::new());
    let node = Recorder { hold: Some(Arc::clone(&hold)), ..Recorder::default() };
    let served = TestServer::new(node).await;
    let socket = served.csi();
    let first = tokio::spawn(async move {
        send::<_, NodeStageVolumeResponse>(&socket, "/csi.v1.Node/NodeStageVolume", stage()).await
    });
    while served.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    let second: Result<NodePublishVolumeResponse, _> =
        served.node("NodePublishVolume", publish()).await;
    assert_eq!(second.expect_err("the first is at work").code(), Code::Aborted);
    hold.notify_one();
    first.await.expect("no panic").expect("staged");
    hold.notify_one();
    let third: Result<NodePublishVolumeResponse, _> =
        served.node("NodePublishVolume", publish()).await;
    third.expect("the first has ended");
}

#[tokio::test]
async fn kubelet_registers_the_driver_and_the_node() {
    let id = NodeId {
        node: "worker-1".to_owned(),
        iqn: Some("iqn.1994-05.com.redhat:1".to_owned()),
        ..NodeId::default()
    };
    let identity = NodeIdentity {
        id: id.clone(),
        max_volumes: Some(100),
        topology: vec![("zone".to_owned(), "a".to_owned())],
    };
    let served = TestServer::new(Recorder { identity, ..Recorder::default() }).await;
    let registration = served.folder.path().join("reg.sock");
    let path = "/pluginregistration.Registration/GetInfo";
    let info: PluginInfo = send(&registration, path, InfoRequest {}).await.expect("known");
    let csi = served.csi();
    assert_eq!((info.r#type.as_str(), info.name.as_str()), ("CSIPlugin", DRIVER));
    assert_eq!(Path::new(&info.endpoint), csi);
    assert_eq!(info.supported_versions, ["1.0.0"]);
    let path = "/pluginregistration.Registration/NotifyRegistrationStatus";
    let status = RegistrationStatus { plugin_registered: true, error: String::new() };
    assert!(!served.metrics.is_registered());
    let _: RegistrationStatusResponse = send(&registration, path, status).await.expect("noted");
    assert!(served.metrics.is_registered());
    let info: NodeGetInfoResponse =
        served.node("NodeGetInfo", NodeGetInfoRequest {}).await.expect("known");
    assert_eq!(NodeId::parse(&info.node_id), Some(id));
    assert_eq!(info.max_volumes_per_node, 100);
    assert_eq!(info.accessible_topology.expect("a place").segments["zone"], "a");
    let plugin: GetPluginInfoResponse =
        send(&csi, "/csi.v1.Identity/GetPluginInfo", GetPluginInfoRequest {}).await.expect("known");
    assert_eq!(plugin.name, DRIVER);
    assert!(offers_places(&csi).await);
    let nowhere = TestServer::new(Recorder::default()).await;
    assert!(!offers_places(&nowhere.csi()).await, "a tool would look for nodes with places");
}

/// Returns whether the driver says that volumes cannot be reached from everywhere.
async fn offers_places(csi: &Path) -> bool {
    let call = "/csi.v1.Identity/GetPluginCapabilities";
    let all: GetPluginCapabilitiesResponse =
        send(csi, call, GetPluginCapabilitiesRequest {}).await.expect("known");
    let places = PluginServiceType::VolumeAccessibilityConstraints.into();
    let places = PluginCapabilityType::Service(PluginService { r#type: places });
    all.capabilities.iter().any(|each| each.r#type.as_ref() == Some(&places))
}

#[tokio::test]
async fn the_end_waits_for_calls_at_work_and_removes_the_sockets() {
    let hold = Arc::new(Notify::new());
    let node = Recorder { hold: Some(Arc::clone(&hold)), ..Recorder::default() };
    let mut served = TestServer::new(node).await;
    let socket = served.csi();
    let call = tokio::spawn(async move {
        send::<_, NodeStageVolumeResponse>(&socket, "/csi.v1.Node/NodeStageVolume", stage()).await
    });
    while served.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    served.end.take().expect("it runs").send(()).expect("it runs");
    tokio::task::yield_now().await;
    assert!(!served.server.is_finished(), "a call is at work");
    hold.notify_one();
    call.await.expect("no panic").expect("the answer still comes");
    served.server.await.expect("no panic").expect("a good end");
    let left = std::fs::read_dir(served.folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "the sockets are removed");
}
