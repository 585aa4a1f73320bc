//! The loops of an engine, and the threads that drive them.

use crate::reconcile::Wake;
use everloop_store::error::StoreError;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Runtime};

/// The loops of an engine: nothing is written, and nothing comes due, unless they are polled. Dropping them is what a crash is.
pub struct Loops {
    /// Writes. Ends when every handle of the engine is gone and what was asked is done.
    pub writer: BoxFuture<'static, ()>,
    /// Takes back what workers of earlier runs of the server held. The reconciler comes after it.
    pub recovery: BoxFuture<'static, ()>,
    /// Looks at times, leases and others' ends. Ends when it is told to stop.
    pub reconciler: BoxFuture<'static, ()>,
    pub(crate) wake: Arc<Wake>,
}

/// The threads of an engine: they end when it is stopped.
pub struct Threads {
    writer: JoinHandle<()>,
    reconciler: JoinHandle<()>,
    wake: Arc<Wake>,
}

impl Threads {
    /// Drives the loops, each on a thread of its own; returns after the recovery.
    pub(crate) fn start(loops: Loops) -> Result<Self, StoreError> {
        // The writer waits for commands and for nothing else: without timers it is woken a little faster.
        let writer = drive("everloop-writer", Builder::new_current_thread().build(), loops.writer)?;
        let (recovered, recovery) = mpsc::channel();
        let (first, then) = (loops.recovery, loops.reconciler);
        let timed = Builder::new_current_thread().enable_time().build();
        let reconciler = drive("everloop-reconciler", timed, async move {
            first.await;
            // Whoever waits for it is the caller of this very function.
            let _ = recovered.send(());
            then.await;
        })?;
        recovery.recv().map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Self { writer, reconciler, wake: loops.wake })
    }

    /// Ends the engine: whatever was asked before is done. Every other handle of the engine must be gone, or this waits
    /// for it.
    pub fn join(self) {
        self.wake.stop();
        for thread in [self.reconciler, self.writer] {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine panicked");
            }
        }
    }
}

fn drive(
    name: &str,
    runtime: std::io::Result<Runtime>,
    driven: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let unavailable = |error: std::io::Error| StoreError::Unavailable(error.into());
    let runtime = runtime.map_err(unavailable)?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || runtime.block_on(driven)).map_err(unavailable)
}
