//! Looks at what time and others have made due, and asks the pipeline for it.
//!
//! It takes no input: a wake-up is a hint, the rows decide. The same look follows a restart and a second of silence.

use crate::housekeep::Housekeeper;
use crate::pipeline::Handle;
use crate::pipeline::op::{Op, Wish};
use crate::reads::Reads;
use everloop_store::error::StoreError;
use everloop_store::rows::OutboxRow;
use everloop_store::work::Row;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{Child, SYSTEM};
use everloop_types::task::ChildPolicy;
use everloop_types::time::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long nothing is looked at when nothing seems due.
const IDLE: Duration = Duration::from_secs(1);
/// How many rows are looked at in one go.
const PAGE: usize = 256;

/// Wakes the reconciler, or ends it.
#[derive(Debug, Default)]
pub struct Wake {
    stopped: AtomicBool,
    changed: Notify,
}

impl Wake {
    /// There may be something to do.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// There is nothing to do any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Waits; gives whether to go on. A wake-up that came while nobody waited is not lost.
    async fn wait(&self, longest: Duration) -> bool {
        let _ = tokio::time::timeout(longest, self.changed.notified()).await;
        !self.stopped.load(Ordering::SeqCst)
    }
}

/// The reconciler. Runs until it is told to stop.
pub struct Reconciler {
    /// The readers.
    pub reads: Reads,
    /// The way into the pipeline.
    pub pipeline: Handle,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who wakes it.
    pub wake: Arc<Wake>,
    /// Looks after what is old.
    pub housekeeper: Housekeeper,
}

impl Reconciler {
    /// Looks until told to stop.
    pub async fn run(mut self) {
        loop {
            let busy = match self.look().await {
                Ok(busy) => busy,
                Err(error) => {
                    tracing::warn!(%error, "looking for what is due failed; it will be tried again");
                    false
                }
            };
            let wait = if busy { Duration::ZERO } else { self.until_next().await };
            if !self.wake.wait(wait).await {
                return;
            }
        }
    }

    async fn until_next(&self) -> Duration {
        match self.reads.read(|store| store.next_timer()).await {
            // A timer that could not be fired is not asked for again at once.
            Ok(Some(at)) => at.since(self.clock.now()).clamp(Duration::from_millis(1), IDLE),
            Ok(None) | Err(_) => IDLE,
        }
    }

    /// One look; gives whether there may be more to do.
    ///
    /// # Errors
    /// If the store can't be read. What was done stays done.
    pub async fn look(&mut self) -> Result<bool, StoreError> {
        let _ = self.pipeline.ask(Op::Expire).await;
        let now = self.clock.now();
        let timers = self.reads.read(move |store| store.timers_due(now, PAGE)).await?;
        let due = timers.iter().map(|timer| Op::Wish {
            tenant: timer.tenant,
            task: timer.task,
            actor: SYSTEM.to_owned(),
            wish: Wish::Due,
        });
        let mut fired = 0;
        for (answer, timer) in self.pipeline.ask_all(due.collect()).await.into_iter().zip(&timers) {
            match answer {
                Ok(_) => fired += 1,
                Err(refusal) => tracing::warn!(task = %timer.task, %refusal, "a timer could not be fired"),
            }
        }
        let outbox = self.reads.read(|store| store.outbox(PAGE)).await?;
        let mut told = 0;
        for row in &outbox {
            told += usize::from(self.tell(row).await?);
        }
        let sweeping = self.housekeeper.piece().await?;
        Ok(sweeping || (fired == timers.len() && timers.len() == PAGE) || (told > 0 && told == outbox.len()))
    }

    /// Tells others of a task's end; gives whether all of them know.
    async fn tell(&self, row: &OutboxRow) -> Result<bool, StoreError> {
        let (tenant, task) = (row.tenant, row.task);
        let Some(ended) = self.reads.read(move |store| store.task(tenant, task)).await? else {
            return Ok(self.pipeline.ask(Op::Rows(vec![Row::OutboxDelete(row.task)])).await.is_ok());
        };
        let wish = |task, wish| Op::Wish { tenant: row.tenant, task, actor: SYSTEM.to_owned(), wish };
        let mut ops = Vec::new();
        if let Some(parent) = &ended.task.spec.parent {
            let child = Child { state: ended.task.state, step: parent.step.clone(), task: row.task };
            ops.push(wish(parent.task, Wish::ChildEnded(child)));
        }
        let dependents = self.reads.read(move |store| store.dependents(task, PAGE)).await?;
        let more = dependents.len() == PAGE;
        for dependency in dependents {
            let ended = Wish::DependencyEnded { task: row.task, state: ended.task.state };
            ops.push(wish(dependency.dependent, ended));
        }
        let mut children_more = false;
        match ended.task.spec.policy.children {
            ChildPolicy::Cancel => {
                let children = self.reads.read(move |store| store.live_children(tenant, task, PAGE)).await?;
                children_more = children.len() == PAGE;
                let reason = Some(format!("its parent is {}", ended.task.state));
                ops.extend(
                    children.into_iter().map(|task| wish(task, Wish::Cancel { reason: reason.clone() })),
                );
            }
            ChildPolicy::Leave => {}
        }
        let answers = self.pipeline.ask_all(ops).await;
        // Whoever is gone, or has ended, need not be told.
        let settled = |refusal: &Refusal| matches!(refusal.code, Code::NotFound | Code::IllegalTransition);
        let all = answers.iter().all(|answer| answer.as_ref().err().is_none_or(settled));
        if children_more {
            // They end in their own time; until then the same ones would be found at once.
            return Ok(false);
        }
        if !all || more {
            return Ok(all);
        }
        Ok(self.pipeline.ask(Op::Rows(vec![Row::OutboxDelete(row.task)])).await.is_ok())
    }
}
