//! The one thread that writes.
//!
//! It takes what has arrived, loads the working set, decides command by command in memory, gives waiting tasks to workers
//! with room, and commits all of it at once. Only after the commit is anybody answered, any follower served, any worker told.

mod audit;
mod batch;
mod dispatch;
pub mod dispatcher;
mod full;
pub mod op;
mod prepare;
mod process;
mod remove;
mod settle;
mod submit;
mod wanted;

use crate::live::Tails;
use crate::machine::attempt::Write;
use crate::reconcile::Wake;
use batch::{Batch, Tools};
use dispatcher::Dispatcher;
use everloop_journal::keys::SigningKey;
use everloop_store::error::StoreError;
use everloop_store::port::{ReadStore, Reserve, WriteStore};
use everloop_store::rows::JobRow;
use everloop_store::work::{Committed, Row, Wanted, WriteSet};
use everloop_types::blob::BlobName;
use everloop_types::error::{Code, Refusal};
use everloop_types::id::{IncarnationId, TaskId, TenantId, WorkerId};
use everloop_types::limits;
use everloop_types::random::Random;
use everloop_types::time::Clock;
use op::{Answer, Op, Reply};
use prepare::Leased;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// What the pipeline is built from.
pub struct Parts {
    /// The writer.
    pub writer: Box<dyn WriteStore>,
    /// The readers.
    pub reader: Arc<dyn ReadStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// The installation's key.
    pub key: Arc<SigningKey>,
    /// Where committed events go.
    pub tails: Arc<Tails>,
    /// Who looks after times and others.
    pub wake: Arc<Wake>,
    /// How many times the installation was restored.
    pub epoch: u32,
    /// This run of the server.
    pub incarnation: IncarnationId,
    /// Events between two digests.
    pub digest_every: u64,
    /// Space that is given up when the disk is full.
    pub reserve: Option<Arc<dyn Reserve>>,
}

/// Counters that anybody may read.
#[derive(Debug, Default)]
pub struct Counters {
    /// Commits.
    pub commits: AtomicU64,
    /// Events written.
    pub events: AtomicU64,
    /// Rows written, events included.
    pub rows: AtomicU64,
    /// Commands that wait for the pipeline.
    pub waiting: AtomicU64,
    /// Entries about tasks that the pipeline keeps in memory: held ones, inputs of waiting ones, caps that count. It goes back
    /// to nothing when nothing is to do.
    pub kept: AtomicU64,
    /// Whether the last commit failed.
    pub failing: std::sync::atomic::AtomicBool,
}

/// Commands that may wait before new ones are shed.
const QUEUE: usize = 8 * limits::COMMIT_COMMANDS;
/// Commands that may wait before new tasks are shed: those that are under way go before.
pub(crate) const CROWDED: u64 = 4 * limits::COMMIT_COMMANDS as u64;

/// The way into the pipeline.
#[derive(Clone)]
pub struct Handle {
    ops: mpsc::Sender<(Op, Reply)>,
    /// What it has done.
    pub counters: Arc<Counters>,
    leased: Arc<Leased>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    key: Arc<SigningKey>,
    digest_every: u64,
}

impl Handle {
    /// A holder writes; the end of a task is linked and signed on this thread, not on the pipeline's.
    ///
    /// # Errors
    /// As [`Handle::ask`].
    pub async fn write(&self, tenant: TenantId, task: TaskId, write: Write) -> Result<Answer, Refusal> {
        let blobs = HashMap::new();
        let tools =
            Tools { random: &*self.random, key: &self.key, digest_every: self.digest_every, blobs: &blobs };
        let prepared = match write.end {
            // Blobs are looked up by the pipeline.
            Some(_) if write.values().all(|value| matches!(BlobName::of(value), Ok(None))) => {
                self.leased.prepare(tools, task, &write, self.clock.now()).map(Box::new)
            }
            Some(_) | None => None,
        };
        self.ask(Op::Write { tenant, task, write: Box::new(write), prepared }).await
    }

    /// Asks, and waits for the answer after the commit.
    ///
    /// # Errors
    /// The refusal, `overloaded` if too much waits, `shutting_down` if the pipeline has ended.
    pub async fn ask(&self, op: Op) -> Result<Answer, Refusal> {
        self.send(op)?.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Asks for all of these at once. The answers stand in the order of the asking.
    pub async fn ask_all(&self, ops: Vec<Op>) -> Vec<Result<Answer, Refusal>> {
        let sent: Vec<_> = ops.into_iter().map(|op| self.send(op)).collect();
        let mut answers = Vec::with_capacity(sent.len());
        for sent in sent {
            answers.push(match sent {
                Ok(answer) => answer.await.unwrap_or_else(|_| Err(stopped())),
                Err(refusal) => Err(refusal),
            });
        }
        answers
    }

    fn send(&self, op: Op) -> Result<oneshot::Receiver<Result<Answer, Refusal>>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let waiting = self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        let refuse = |refusal| {
            self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
            Err(refusal)
        };
        if waiting >= CROWDED && matches!(op, Op::Submit(_)) {
            return refuse(crowded(waiting));
        }
        match self.ops.try_send((op, reply)) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => refuse(crowded(QUEUE as u64)),
            Err(mpsc::error::TrySendError::Closed(_)) => refuse(stopped()),
        }
    }
}

fn crowded(waiting: u64) -> Refusal {
    Refusal::new(Code::Overloaded, format!("{waiting} commands wait for the database already"))
        .hint("send the request again with the same key, after a while")
        .retry_after_ms(1_000)
}

fn stopped() -> Refusal {
    Refusal::new(Code::ShuttingDown, "the server is stopping").retry_after_ms(1_000)
}

/// A pipeline: the way into it, and its loop, which is driven on a thread of its own, or with everything else on one thread
/// by a simulation. The loop ends when every handle is gone and what was asked is done.
///
/// # Errors
/// If the store can't be read.
pub fn open(parts: Parts) -> Result<(Handle, impl Future<Output = ()> + Send + 'static), StoreError> {
    let (ops, inbox) = mpsc::channel(QUEUE);
    let counters = Arc::new(Counters::default());
    let dispatcher = Dispatcher::read(&*parts.reader, parts.clock.monotonic())?;
    let leased = Arc::new(Leased::default());
    let handle = Handle {
        ops,
        counters: counters.clone(),
        leased: leased.clone(),
        clock: parts.clock.clone(),
        random: parts.random.clone(),
        key: parts.key.clone(),
        digest_every: parts.digest_every,
    };
    let pipeline = Pipeline {
        parts,
        dispatcher,
        counters,
        leased,
        segments: Default::default(),
        stop: false,
        full: full::Full::default(),
        unsure: None,
        lost: false,
        claimed_any: false,
    };
    Ok((handle, pipeline.run(inbox)))
}

/// A commit whose outcome is unknown, with everything that follows from it if it was written.
struct Unsure {
    batch: Batch,
    writes: WriteSet,
    claims: Vec<(WorkerId, op::Claimed)>,
}

struct Pipeline {
    parts: Parts,
    dispatcher: Dispatcher,
    counters: Arc<Counters>,
    leased: Arc<Leased>,
    /// The audit segment of each tenant that grows.
    segments: std::collections::HashMap<TenantId, u32>,
    /// The disk lost what was written: nothing is written any more.
    stop: bool,
    full: full::Full,
    /// The last commit, while nobody could see what became of it. Nothing else is decided until somebody can.
    unsure: Option<Unsure>,
    /// The last commit got no answer, and was not written.
    lost: bool,
    /// Whether the last batch may have left tasks for workers with room: it claimed some, or ended some.
    claimed_any: bool,
}

impl Pipeline {
    async fn run(mut self, mut inbox: mpsc::Receiver<(Op, Reply)>) {
        let mut ops = Vec::with_capacity(limits::COMMIT_COMMANDS);
        while let Some(first) = inbox.recv().await {
            let mut bytes = first.0.bytes();
            ops.push(first);
            while ops.len() < limits::COMMIT_COMMANDS && bytes < limits::COMMIT_BYTES {
                let Ok(next) = inbox.try_recv() else { break };
                bytes += next.0.bytes();
                ops.push(next);
            }
            self.counters.waiting.fetch_sub(ops.len() as u64, Ordering::Relaxed);
            self.batch(std::mem::take(&mut ops));
            // Whoever has room after it gets what waits, as long as there is some of both.
            while inbox.is_empty() && self.claimed_any && self.has_work() {
                self.batch(Vec::new());
            }
            let kept = self.dispatcher.kept() + self.leased.len();
            self.counters.kept.store(kept as u64, Ordering::Relaxed);
            if inbox.is_empty()
                && let Err(error) = self.parts.writer.idle()
            {
                tracing::warn!(%error, "work between commits failed");
            }
        }
    }

    fn has_work(&self) -> bool {
        let nothing = std::collections::HashMap::new();
        !self.dispatcher.wanted(&self.dispatcher.offers(&nothing, &nothing)).is_empty()
    }

    /// Takes a batch to its end: commands whose stream has moved meanwhile are decided again.
    fn batch(&mut self, ops: Vec<(Op, Reply)>) {
        let mut todo = ops;
        // A batch that keeps moving is a fault elsewhere; nobody waits for ever for it.
        for _ in 0..8 {
            match self.attempt(todo) {
                Ok(again) if again.is_empty() => return,
                Ok(again) => todo = again,
                Err(()) => return,
            }
        }
        self.counters.failing.store(true, Ordering::Relaxed);
        let refusal = match self.lost {
            true => StoreError::Unavailable("it gives no answer to what is to be written".into()).refusal(),
            false => {
                let words = "others changed the same tasks at the same time";
                Refusal::new(Code::Overloaded, words).retry_after_ms(100)
            }
        };
        for (_, reply) in todo {
            let _ = reply.send(Err(refusal.clone()));
        }
    }

    /// Loads, decides, commits, answers. Gives back what has to be decided again.
    fn attempt(&mut self, ops: Vec<(Op, Reply)>) -> Result<Vec<(Op, Reply)>, ()> {
        if self.stop {
            let error = StoreError::Failed("a write was lost before".into());
            return self.refuse(ops, &error);
        }
        if let Err(error) = self.look_up() {
            return self.refuse(ops, &error);
        }
        let mut ops = self.relieved(ops);
        let wanted = self.wanted(&ops);
        let mut loaded = match self.parts.writer.load(&wanted, self.parts.clock.now()) {
            Ok(loaded) => loaded,
            Err(error) => return self.refuse(ops, &error),
        };
        let ready = loaded.ready.clone();
        let blobs = std::mem::take(&mut loaded.blobs);
        let mut batch = Batch::new(loaded);
        let key = self.parts.key.clone();
        let random = self.parts.random.clone();
        let tools =
            Tools { random: &*random, key: &key, digest_every: self.parts.digest_every, blobs: &blobs };
        let outcomes: Vec<_> = ops.iter_mut().map(|(op, _)| self.process(&mut batch, tools, op)).collect();
        // Nothing begins while there is no space for its end.
        let claims = if self.is_full() { Vec::new() } else { self.dispatch(&mut batch, tools, ready) };
        self.claimed_any = !claims.is_empty() || !ops.is_empty();
        let writes = batch.write_set(tools);
        let is_empty = writes.streams.is_empty() && writes.rows.is_empty();
        let committed = if is_empty { Ok(Default::default()) } else { self.parts.writer.commit(&writes) };
        let mut is_lost = false;
        let committed = match committed {
            Ok(committed) => committed,
            Err(StoreError::Unknown(source)) => {
                tracing::warn!(%source, "the outcome of a commit is unknown; reading the heads again");
                match self.found(&writes) {
                    Ok(committed) => {
                        // Rows that hang on no stream were written again by now.
                        is_lost =
                            !committed.moved.is_empty() && committed.moved.len() == writes.streams.len();
                        committed
                    }
                    Err(error) => {
                        self.unsure = Some(Unsure { batch, writes, claims });
                        return self.refuse(ops, &error);
                    }
                }
            }
            Err(error) => {
                self.stop |= matches!(error, StoreError::Failed(_));
                self.counters.failing.store(true, Ordering::Relaxed);
                if matches!(error, StoreError::Full(_))
                    && let Some(again) = self.fill_up(&mut ops)
                {
                    return Ok(again);
                }
                return self.refuse(ops, &error);
            }
        };
        self.lost = is_lost;
        let is_failing = match is_empty {
            true => self.counters.failing.load(Ordering::Relaxed) && !self.is_writable(),
            false => is_lost,
        };
        self.counters.failing.store(self.is_full() || is_failing, Ordering::Relaxed);
        Ok(self.settle(batch, writes, committed, claims, ops.into_iter().zip(outcomes).collect()))
    }

    /// Whether something small can be written. Whoever waits for this server to be ready sends it nothing to write meanwhile.
    fn is_writable(&mut self) -> bool {
        let probe = JobRow { name: "probe".to_owned(), ran_at: self.parts.clock.now(), upto: None };
        let writes = WriteSet { rows: vec![Row::JobPut(probe)], ..WriteSet::default() };
        !self.is_full() && self.parts.writer.commit(&writes).is_ok()
    }

    /// Settles the last commit, if nobody knew yet what became of it. Who asked for it was refused.
    fn look_up(&mut self) -> Result<(), StoreError> {
        let Some(unsure) = self.unsure.take() else { return Ok(()) };
        match self.found(&unsure.writes) {
            Ok(committed) => {
                self.settle(unsure.batch, unsure.writes, committed, unsure.claims, Vec::new());
                Ok(())
            }
            Err(error) => {
                self.unsure = Some(unsure);
                Err(error)
            }
        }
    }

    /// What became of a commit that gave no answer: it is there whole or not at all, and each head says which. What is not
    /// there is decided again; rows that hang on no stream are of a kind that may be written twice.
    fn found(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        // Nothing of it is on its way any more after this.
        self.parts.writer.load(&Wanted::default(), self.parts.clock.now())?;
        let mut committed = Committed::default();
        for write in &writes.streams {
            let is_there = !write.events.is_empty()
                && self.parts.reader.head(write.tenant, write.stream)? == Some(write.head);
            if !is_there {
                committed.moved.push(write.stream);
            }
        }
        if committed.moved.len() == writes.streams.len() && !writes.rows.is_empty() {
            self.parts.writer.commit(&WriteSet { rows: writes.rows.clone(), ..WriteSet::default() })?;
        }
        Ok(committed)
    }

    fn refuse(&mut self, ops: Vec<(Op, Reply)>, error: &StoreError) -> Result<Vec<(Op, Reply)>, ()> {
        self.counters.failing.store(true, Ordering::Relaxed);
        // A store that takes nothing is asked again when somebody asks for something, not at once.
        self.claimed_any = false;
        tracing::error!(%error, commands = ops.len(), "a batch was not written");
        for (_, reply) in ops {
            let _ = reply.send(Err(error.refusal()));
        }
        Err(())
    }
}
