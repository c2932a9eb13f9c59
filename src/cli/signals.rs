//! Handles INT and TERM while files are written: the run stops between two files instead of within one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use super::CommandError;

/// Whether a signal has requested a stop. Until a value exists, signals end the process as usual.
#[derive(Debug, Clone)]
pub(super) struct StopSignals {
    /// The signal's number; 0 if there was none.
    requested: Arc<AtomicI32>,
}

impl StopSignals {
    /// Starts to handle signals. From then on, INT and TERM are only recorded.
    pub(super) fn listen() -> Result<Self, CommandError> {
        let requested = Arc::new(AtomicI32::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(CommandError::Start)?;
        let handlers = {
            let _inside = runtime.enter();
            [SignalKind::interrupt(), SignalKind::terminate()]
                .map(|kind| signal(kind).map(|signals| (kind.as_raw_value(), signals)))
        };
        for handler in handlers {
            let (number, mut signals) = handler.map_err(CommandError::Start)?;
            let requested = Arc::clone(&requested);
            runtime.spawn(async move {
                if signals.recv().await.is_some() {
                    requested.store(number, Ordering::SeqCst);
                }
            });
        }
        // The thread ends with the process.
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        Ok(Self { requested })
    }

    /// Fails when a signal has requested a stop. `done` and `all` are numbers of files.
    pub(super) fn check(&self, done: usize, all: usize) -> Result<(), CommandError> {
        match self.requested.load(Ordering::SeqCst) {
            0 => Ok(()),
            signal => Err(CommandError::Stopped { signal, done, all }),
        }
    }
}
