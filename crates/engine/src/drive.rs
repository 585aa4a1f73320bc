//! The loops of an engine, and the threads that drive them.

use crate::reconcile;
use everloop_store::error::StoreError;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake};
use std::thread::{JoinHandle, Thread};
use tokio::runtime::Builder;

/// The loops of an engine: nothing is written, and nothing comes due, unless they are polled. Dropping them is what a crash is.
pub struct Loops {
    /// Writes. Ends when every handle of the engine is gone and what was asked is done.
    pub writer: BoxFuture<'static, ()>,
    /// Takes back what workers of earlier runs of the server held. The reconciler comes after it.
    pub recovery: BoxFuture<'static, ()>,
    /// Looks at times, leases and others' ends. Ends when it is told to stop.
    pub reconciler: BoxFuture<'static, ()>,
    pub(crate) wake: Arc<reconcile::Wake>,
}

/// The threads of an engine: they end when it is stopped.
pub struct Threads {
    writer: JoinHandle<()>,
    reconciler: JoinHandle<()>,
    wake: Arc<reconcile::Wake>,
}

impl Threads {
    /// Drives the loops, each on a thread of its own; returns after the recovery.
    pub(crate) fn start(loops: Loops) -> Result<Self, StoreError> {
        // No runtime stands round the writer: a store may have one of its own, and runtimes don't nest.
        let writer = spawn("everloop-writer", move || block_on(loops.writer))?;
        let (recovered, recovery) = mpsc::channel();
        let (first, then) = (loops.recovery, loops.reconciler);
        let timed = Builder::new_current_thread().enable_time().build().map_err(unavailable)?;
        let reconciler = spawn("everloop-reconciler", move || {
            timed.block_on(async move {
                first.await;
                // Whoever waits for it is the caller of this very function.
                let _ = recovered.send(());
                then.await;
            });
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

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(unavailable)
}

fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}

/// Drives a future that needs nothing of a runtime.
fn block_on(future: impl Future<Output = ()>) {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        std::thread::park();
    }
}
