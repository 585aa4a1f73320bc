//! Workers as people see them.

use crate::caller::Caller;
use crate::control::Control;
use crate::kinds::is_online;
use everloop_store::rows::LeaseRow;
use everloop_types::error::{Code, Refusal};
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::time::Timestamp;
use everloop_types::worker::{Worker, WorkerStatus};

/// A worker and what it does.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The worker.
    pub worker: Worker,
    /// How it is.
    pub status: WorkerStatus,
    /// Tasks of the caller's tenant that it holds.
    pub tasks: Vec<TaskId>,
}

fn seen(caller: &Caller, worker: Worker, leases: &[LeaseRow], now: Timestamp) -> Seen {
    let held = leases.iter().filter(|lease| lease.worker == worker.id);
    let status = if !is_online(&worker, now) {
        WorkerStatus::Offline
    } else if worker.trouble.is_some() {
        WorkerStatus::Error
    } else if held.clone().next().is_some() {
        WorkerStatus::Busy
    } else {
        WorkerStatus::Idle
    };
    let tasks = held.filter(|lease| lease.tenant == caller.tenant).map(|lease| lease.task).collect();
    Seen { worker, status, tasks }
}

impl Control {
    /// Every worker, oldest first.
    ///
    /// # Errors
    /// If the database can't be read.
    pub async fn workers(&self, caller: &Caller) -> Result<Vec<Seen>, Refusal> {
        let (workers, leases) = self.engine().read(|store| Ok((store.workers()?, store.leases()?))).await?;
        let now = self.now();
        Ok(workers.into_iter().map(|worker| seen(caller, worker, &leases, now)).collect())
    }

    /// One worker.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn worker(&self, caller: &Caller, id: WorkerId) -> Result<Seen, Refusal> {
        let (worker, leases) =
            self.engine().read(move |store| Ok((store.worker(id)?, store.leases()?))).await?;
        let worker = worker.ok_or_else(|| Refusal::not_found(format!("worker {id}")))?;
        Ok(seen(caller, worker, &leases, self.now()))
    }

    /// Makes a worker unknown: whatever it holds goes to others.
    ///
    /// # Errors
    /// `not_found`; `illegal_transition` for one that lives inside a server and is well.
    pub async fn worker_remove(&self, caller: &Caller, id: WorkerId) -> Result<(), Refusal> {
        let seen = self.worker(caller, id).await?;
        if seen.worker.embedded && seen.status != WorkerStatus::Offline {
            let detail = format!("worker {id} lives inside the server");
            return Err(Refusal::new(Code::IllegalTransition, detail).hint("stop the server to stop it"));
        }
        self.remote().remove(id).await
    }
}
