//! Operations at work, so that a second one on the same volume is refused, as CSI asks:
//! <https://github.com/container-storage-interface/spec/blob/v1.13.0/spec.md#concurrency>.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;

/// The names of volumes and snapshots that operations are at work on.
#[derive(Debug, Clone, Default)]
pub(super) struct OperationLocks(Arc<Mutex<HashSet<String>>>);

/// An operation at work; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct OperationLock {
    locks: OperationLocks,
    name: String,
}

impl OperationLocks {
    /// Begins an operation. Fails while another one is at work under the same name.
    pub(super) fn begin(&self, name: &str) -> Result<OperationLock, Status> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.insert(name.to_owned()) {
            let name = crate::sanitize::quoted(name);
            return Err(Status::aborted(format!(
                "an earlier call for {name} is still at work; the next attempt continues after it"
            )));
        }
        Ok(OperationLock { locks: self.clone(), name: name.to_owned() })
    }

    /// Runs an operation to its end, also when the caller gives up waiting: otherwise a retry could begin while effects
    /// of this one are still under way.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &str,
        operation: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        let at_work = self.begin(name)?;
        let done = tokio::spawn(async move {
            let done = operation.await;
            drop(at_work);
            done
        });
        done.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call ended by a defect");
            Err(Status::internal("the call ended by a defect of pso-gen; see its log"))
        })
    }
}

impl Drop for OperationLock {
    fn drop(&mut self) {
        self.locks.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_second_operation_on_a_volume_is_refused_until_the_first_has_ended() {
        let locks = OperationLocks::default();
        let (end, ended) = oneshot::channel::<()>();
        let first = locks.clone();
        let first = tokio::spawn(async move {
            first.run("a/1", async move { ended.await.map_err(|_| Status::internal("")) }).await
        });
        while locks.0.lock().expect("free").is_empty() {
            tokio::task::yield_now().await;
        }
        let refused = locks.run("a/1", async { Ok(()) }).await.expect_err("the first is at work");
        assert_eq!(refused.code(), Code::Aborted);
        locks.run("a/2", async { Ok(()) }).await.expect("another volume");
        end.send(()).expect("it waits");
        first.await.expect("no panic").expect("done");
        locks.run("a/1", async { Ok(()) }).await.expect("the first has ended");
    }

    #[tokio::test]
    async fn an_operation_goes_on_when_its_caller_gives_up() {
        let locks = OperationLocks::default();
        let (end, ended) = oneshot::channel::<()>();
        let (done, mut is_done) = oneshot::channel::<()>();
        let operation = async move {
            let _ = ended.await;
            let _ = done.send(());
            Ok(())
        };
        let caller = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.run("a/1", operation).await })
        };
        while locks.0.lock().expect("free").is_empty() {
            tokio::task::yield_now().await;
        }
        caller.abort();
        assert!(caller.await.expect_err("given up").is_cancelled());
        assert!(is_done.try_recv().is_err());
        assert_eq!(locks.begin("a/1").expect_err("at work").code(), Code::Aborted);
        end.send(()).expect("it goes on");
        is_done.await.expect("done");
        while locks.begin("a/1").is_err() {
            tokio::task::yield_now().await;
        }
    }
}
