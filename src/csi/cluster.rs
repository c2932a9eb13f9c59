//! The records of the node service in the cluster: what is noted on the VolumeAttachments of this node. Without a
//! cluster, a file has them. Reads and changes no other objects.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::contract::{DRIVER, annotation};
use crate::node::{Attachments, FormatRecord, VolumeHandle};
use crate::sanitize;

/// How long a read may take. A call of kubelet waits meanwhile, and kubelet gives it up after two minutes.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The records on the VolumeAttachments of one node.
#[derive(Clone)]
pub struct ClusterRecords {
    attachments: Api<VolumeAttachment>,
    node: String,
    /// How long a read may take.
    answer: Duration,
}

impl std::fmt::Debug for ClusterRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterRecords").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Returns the name of the VolumeAttachment of a volume and a node, as kube-controller-manager and kubelet form it:
/// <https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/volume/csi/csi_attacher.go>, `getAttachmentName`.
pub fn attachment_name(volume: &VolumeHandle, node: &str) -> String {
    let digest = Sha256::digest(format!("{volume}{DRIVER}{node}"));
    digest.iter().fold("csi-".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

impl ClusterRecords {
    /// Returns the records of a node.
    pub fn new(client: kube::Client, node: impl Into<String>) -> Self {
        Self { attachments: Api::all(client), node: node.into(), answer: READ_TIMEOUT }
    }

    /// Returns the VolumeAttachment of a volume and this node. `None` if there is none.
    async fn attachment(&self, volume: &VolumeHandle) -> Result<Option<VolumeAttachment>, String> {
        let name = attachment_name(volume, &self.node);
        let Ok(found) = tokio::time::timeout(self.answer, self.attachments.get_opt(&name)).await
        else {
            let late = format!("no answer within {} s", self.answer.as_secs());
            return Err(failed("read", &name, &late));
        };
        let found = found.map_err(|error| failed("read", &name, &cause(&error)))?;
        // The name is a digest; what it stands for is compared all the same.
        match found {
            Some(found) if found.spec.attacher != DRIVER || found.spec.node_name != self.node => {
                Err(format!("the VolumeAttachment {name} is of another driver or node"))
            }
            found => Ok(found),
        }
    }
}

#[async_trait]
impl Attachments for ClusterRecords {
    /// A volume with a VolumeAttachment may be used by a pod here, and is not cleaned up.
    async fn is_attached(&self, volume: &VolumeHandle) -> Result<bool, String> {
        Ok(self.attachment(volume).await?.is_some())
    }
}

#[async_trait]
impl FormatRecord for ClusterRecords {
    async fn record_formatted(&self, volume: &VolumeHandle) -> Result<(), String> {
        let Some(attachment) = self.attachment(volume).await? else {
            let name = attachment_name(volume, &self.node);
            return Err(format!(
                "the VolumeAttachment {name} is gone, so it cannot be recorded that {volume} is formatted; kubelet tries again when the volume is attached"
            ));
        };
        let annotations = attachment.metadata.annotations.unwrap_or_default();
        if annotations.get(annotation::FORMATTED).is_some_and(|value| value == "true") {
            return Ok(());
        }
        let name = attachment.metadata.name.unwrap_or_default();
        // The UID keeps the record off a VolumeAttachment that was created anew in between.
        let patch = json!({"metadata": {
            "uid": attachment.metadata.uid,
            "annotations": {annotation::FORMATTED: "true"},
        }});
        let parameters = PatchParams::default();
        let done = self.attachments.patch(&name, &parameters, &Patch::Merge(&patch)).await;
        done.map(drop).map_err(|error| failed("change", &name, &cause(&error)))
    }
}

fn cause(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

fn failed(what: &str, name: &str, cause: &str) -> String {
    let cause = sanitize::line(cause, sanitize::LONGEST);
    format!(
        "cannot {what} the VolumeAttachment {name}: {cause}; check the network from the node to the API server, and that the node service's account may get and patch volumeattachments"
    )
}

/// The records in a file, for a node without a cluster: one volume a line.
#[derive(Debug)]
pub struct FileRecords {
    path: PathBuf,
    /// One writer at a time.
    writing: Mutex<()>,
}

impl FileRecords {
    /// Returns the records in a file, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), writing: Mutex::new(()) }
    }
}

#[async_trait]
impl FormatRecord for FileRecords {
    async fn record_formatted(&self, volume: &VolumeHandle) -> Result<(), String> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error: std::io::Error| {
            let path = sanitize::name(&self.path.display().to_string());
            format!("cannot record in {path} that {volume} is formatted: {error}")
        };
        let line = volume.to_string();
        match std::fs::read_to_string(&self.path) {
            Ok(text) if text.lines().any(|known| known == line) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(&self.path).map_err(failed)?;
        writeln!(file, "{line}").and_then(|()| file.sync_all()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use hyper::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::Value as Json;
    use tower::service_fn;

    use super::*;

    fn volume() -> VolumeHandle {
        "a-1/v-1".parse().expect("a handle")
    }

    /// An API server that gives prepared answers, and notes what it was asked for.
    type RecordedRequests = Arc<Mutex<Vec<(Method, String, Json)>>>;

    fn records(answers: Vec<(u16, Json)>) -> (ClusterRecords, RecordedRequests) {
        let asked = RecordedRequests::default();
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let seen = Arc::clone(&asked);
        let server = service_fn(move |request: Request<Body>| {
            let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.expect("a body");
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let path = head.uri.path().to_owned();
                seen.lock().expect("free").push((head.method, path, body));
                let next = answers.lock().expect("free").pop_front();
                let (status, answer) = next.expect("an answer is prepared");
                let response = Response::builder().status(status);
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(response.body(body).expect("a response"))
            }
        });
        (ClusterRecords::new(kube::Client::new(server, "default"), "worker-1"), asked)
    }

    fn attachment(annotations: &Json, node: &str, driver: &str) -> Json {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {"name": attachment_name(&volume(), "worker-1"), "uid": "u-1", "annotations": annotations},
            "spec": {"attacher": driver, "nodeName": node, "source": {"persistentVolumeName": "pvc-1"}},
        })
    }

    fn missing() -> Json {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
            "message": "not found"})
    }

    #[test]
    fn a_volume_attachment_has_the_name_that_kubernetes_gives_it() {
        // printf 'a-1/v-1pso-gen.ioworker-1' | sha256sum
        let name = "csi-238245d187f349453c4f8af31e949a3b1a1eaacaddf35f518c67a0cc63ab93ab";
        assert_eq!(attachment_name(&volume(), "worker-1"), name);
    }

    #[tokio::test]
    async fn the_record_is_written_once_and_only_on_this_nodes_attachment() {
        let bare = attachment(&json!({}), "worker-1", DRIVER);
        let (records, asked) = records(vec![(200, bare.clone()), (200, bare)]);
        records.record_formatted(&volume()).await.expect("recorded");
        let asked = asked.lock().expect("free").clone();
        let path = format!(
            "/apis/storage.k8s.io/v1/volumeattachments/{}",
            attachment_name(&volume(), "worker-1")
        );
        assert_eq!(asked[0], (Method::GET, path.clone(), Json::Null));
        let patch =
            json!({"metadata": {"uid": "u-1", "annotations": {annotation::FORMATTED: "true"}}});
        assert_eq!(asked[1], (Method::PATCH, path, patch));
    }

    #[tokio::test]
    async fn a_record_that_is_there_is_enough_and_a_wrong_or_missing_attachment_is_an_error() {
        let done = attachment(&json!({annotation::FORMATTED: "true"}), "worker-1", DRIVER);
        let (there, asked) = records(vec![(200, done)]);
        there.record_formatted(&volume()).await.expect("recorded already");
        assert_eq!(asked.lock().expect("free").len(), 1, "nothing is written");
        for wrong in [
            (404, missing()),
            (200, attachment(&json!({}), "worker-2", DRIVER)),
            (200, attachment(&json!({}), "worker-1", "other")),
        ] {
            let (records, asked) = records(vec![wrong]);
            records.record_formatted(&volume()).await.expect_err("not recorded");
            assert_eq!(asked.lock().expect("free").len(), 1, "nothing is written");
        }
        let refused = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
            "reason": "Forbidden", "message": "forbidden: \u{1b}[2J"});
        let bare = attachment(&json!({}), "worker-1", DRIVER);
        let (records, _) = records(vec![(200, bare), (403, refused)]);
        let error = records.record_formatted(&volume()).await.expect_err("forbidden");
        assert!(error.contains("get and patch volumeattachments"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }

    #[tokio::test]
    async fn a_volume_is_attached_while_its_volume_attachment_exists() {
        let (there, _) = records(vec![(200, attachment(&json!({}), "worker-1", DRIVER))]);
        assert_eq!(there.is_attached(&volume()).await, Ok(true));
        let (gone, _) = records(vec![(404, missing())]);
        assert_eq!(gone.is_attached(&volume()).await, Ok(false));
        let (broken, _) = records(vec![(500, json!({"kind": "Status", "code": 500}))]);
        broken.is_attached(&volume()).await.expect_err("unknown");
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_holds_up_no_call() {
        let silent = service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, std::convert::Infallible>>()
        });
        let records = ClusterRecords::new(kube::Client::new(silent, "default"), "worker-1");
        let records = ClusterRecords { answer: Duration::from_millis(1), ..records };
        let error = records.is_attached(&volume()).await.expect_err("unknown");
        assert!(error.contains("no answer within"), "{error}");
    }

    #[tokio::test]
    async fn without_a_cluster_a_file_has_the_records() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("formatted");
        let records = FileRecords::new(&path);
        records.record_formatted(&volume()).await.expect("recorded");
        FileRecords::new(&path).record_formatted(&volume()).await.expect("recorded already");
        let other: VolumeHandle = "a-1/v-11".parse().expect("a handle");
        records.record_formatted(&other).await.expect("recorded");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "a-1/v-1\na-1/v-11\n");
        let nowhere = FileRecords::new(folder.path().join("none/formatted"));
        nowhere.record_formatted(&volume()).await.expect_err("no folder");
    }
}
