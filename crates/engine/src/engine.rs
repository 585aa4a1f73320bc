//! The handle that the rest of the program holds.

use crate::blobs::Blobs;
use crate::drive::Loops;
pub use crate::drive::Threads;
use crate::housekeep::{Housekeeper, Retention};
use crate::live::{Follower, Subscription, Tails};
use crate::machine::attempt::Write;
use crate::pipeline::op::{Answer, Op, Snapshot, Submit, Wish};
use crate::pipeline::{self, CROWDED, Counters, Handle};
use crate::reads::{Latency, Reads};
use crate::reconcile::{Reconciler, Wake};
use crate::repeats::Repeats;
use everloop_journal::keys::SigningKey;
use everloop_store::error::StoreError;
use everloop_store::port::{Blob, ReadStore, Reserve, WriteStore};
use everloop_store::rows::Installation;
use everloop_types::blob::{BlobName, VALUE};
use everloop_types::error::{Code, Refusal};
use everloop_types::id::{IdGenerator, IncarnationId, TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::random::Random;
use everloop_types::stream::StreamName;
use everloop_types::time::{Clock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What an engine is built from.
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
    /// Events between two digests; [`limits::DIGEST_EVERY`] by default.
    pub digest_every: u64,
    /// Bytes of blobs.
    pub blobs: Arc<dyn Blob>,
    /// Space that is given up when the disk is full, where there is such.
    pub reserve: Option<Arc<dyn Reserve>>,
    /// How long finished tasks are kept.
    pub retention: Retention,
}

/// Everything that happens to tasks, behind one handle.
pub struct Engine {
    pipeline: Handle,
    reads: Reads,
    blobs: Arc<Blobs>,
    tails: Arc<Tails>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    key: Arc<SigningKey>,
    ids: IdGenerator,
    installation: Installation,
    incarnation: IncarnationId,
    failed_reads: Repeats,
}

impl Engine {
    /// Starts the threads, and takes back what workers of earlier runs of the server held.
    ///
    /// # Errors
    /// If the store can't be read, or no thread can be had.
    pub fn start(parts: Parts) -> Result<(Arc<Self>, Threads), StoreError> {
        let (engine, loops) = Self::build(parts, None)?;
        Ok((engine, Threads::start(loops)?))
    }

    /// An engine without threads: its loops are the caller's to drive, and it reads the store wherever it is asked, with answers
    /// as late as `latency` says. This is how a simulation runs it.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn inline(parts: Parts, latency: Latency) -> Result<(Arc<Self>, Loops), StoreError> {
        Self::build(parts, Some(latency))
    }

    fn build(parts: Parts, inline: Option<Latency>) -> Result<(Arc<Self>, Loops), StoreError> {
        let installation = parts.reader.installation()?;
        let ids = IdGenerator::default();
        let incarnation = IncarnationId(ids.next(parts.clock.now(), &*parts.random));
        let tails = Arc::new(Tails::default());
        let wake = Arc::new(Wake::default());
        let (pipeline, writer) = pipeline::open(pipeline::Parts {
            writer: parts.writer,
            reader: parts.reader.clone(),
            clock: parts.clock.clone(),
            random: parts.random.clone(),
            key: parts.key.clone(),
            tails: tails.clone(),
            wake: wake.clone(),
            epoch: installation.epoch,
            incarnation,
            digest_every: parts.digest_every,
            reserve: parts.reserve,
        })?;
        let recovery = Box::pin(release(pipeline.clone()));
        let reads = Reads::new(parts.reader.clone(), inline);
        let blobs = Arc::new(Blobs::new(parts.blobs, reads.clone()));
        let reconciler = Reconciler {
            reads: reads.clone(),
            pipeline: pipeline.clone(),
            clock: parts.clock.clone(),
            wake: wake.clone(),
            housekeeper: Housekeeper::new(
                reads.clone(),
                pipeline.clone(),
                parts.clock.clone(),
                parts.key.clone(),
                blobs.clone(),
                parts.retention,
            ),
        };
        let reconciler = Box::pin(reconciler.run());
        let engine = Arc::new(Self {
            pipeline,
            reads,
            blobs,
            tails,
            clock: parts.clock,
            random: parts.random,
            key: parts.key,
            ids,
            installation,
            incarnation,
            failed_reads: Repeats::default(),
        });
        Ok((engine, Loops { writer: Box::pin(writer), recovery, reconciler, wake }))
    }

    /// A new id of any kind: 16 bytes, greater than those before.
    pub fn new_id(&self) -> [u8; 16] {
        self.ids.next(self.clock.now(), &*self.random)
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clocks.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Chance.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// The readers, for where blocking is allowed.
    pub fn store(&self) -> &Arc<dyn ReadStore> {
        self.reads.store()
    }

    /// The installation.
    pub fn installation(&self) -> Installation {
        self.installation
    }

    /// This run of the server.
    pub fn incarnation(&self) -> IncarnationId {
        self.incarnation
    }

    /// The key that signs receipts.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// What the pipeline has done.
    pub fn counters(&self) -> &Counters {
        &self.pipeline.counters
    }

    /// Whether commands can be taken: the last commit worked, and not too much waits.
    pub fn is_ready(&self) -> bool {
        let counters = &self.pipeline.counters;
        !counters.failing.load(Ordering::Relaxed)
            && !self.reads.is_crowded()
            && counters.waiting.load(Ordering::Relaxed) < CROWDED
    }

    /// Live tails.
    pub fn tails(&self) -> &Arc<Tails> {
        &self.tails
    }

    /// Asks the pipeline.
    ///
    /// # Errors
    /// What it refuses.
    pub async fn ask(&self, op: Op) -> Result<Answer, Refusal> {
        self.pipeline.ask(op).await
    }

    /// Writes for the holder of a task. Values that are too large for an event, or speak of blobs without being the name of
    /// one, go into blobs.
    ///
    /// # Errors
    /// What the pipeline refuses.
    pub async fn write(&self, tenant: TenantId, task: TaskId, mut write: Write) -> Result<(), Refusal> {
        let is_put_aside = |value: &Json| value.len() > limits::VALUE_BYTES || BlobName::of(value).is_err();
        for value in write.values_mut().filter(|value| is_put_aside(value)) {
            self.outsource(tenant, value).await?;
        }
        self.pipeline.write(tenant, task, write).await.map(|_| ())
    }

    /// Submits a task; gives it as it is now, and whether this call made it.
    ///
    /// # Errors
    /// What the pipeline refuses.
    pub async fn submit(&self, submit: Submit) -> Result<(Arc<Snapshot>, bool), Refusal> {
        let tenant = submit.tenant;
        let own = submit.id;
        match self.pipeline.ask(Op::Submit(Box::new(submit))).await? {
            Answer::Submitted { snapshot, created } => Ok((snapshot, created)),
            Answer::Existing(task) => Ok((self.snapshot(tenant, task).await?, task == own)),
            Answer::Task(_) | Answer::Lost(_) | Answer::Done => Err(odd()),
        }
    }

    /// Wishes something of a task; gives it as it is now.
    ///
    /// # Errors
    /// What the pipeline refuses.
    pub async fn wish(
        &self,
        tenant: TenantId,
        task: TaskId,
        actor: &str,
        wish: Wish,
    ) -> Result<Arc<Snapshot>, Refusal> {
        match self.pipeline.ask(Op::Wish { tenant, task, actor: actor.to_owned(), wish }).await? {
            Answer::Task(snapshot) => Ok(snapshot),
            Answer::Existing(task) => self.snapshot(tenant, task).await,
            Answer::Submitted { .. } | Answer::Lost(_) | Answer::Done => Err(odd()),
        }
    }

    /// A task as the store has it.
    ///
    /// # Errors
    /// `not_found`, or that the store can't be read.
    pub async fn snapshot(&self, tenant: TenantId, task: TaskId) -> Result<Arc<Snapshot>, Refusal> {
        let row = self.read(move |store| store.task(tenant, task)).await?;
        let row = row.ok_or_else(|| Refusal::not_found(format!("task {task}")))?;
        Ok(Arc::new(Snapshot { task: row.task.into(), head: row.head }))
    }

    /// Reads the store where blocking is allowed, for a request.
    ///
    /// # Errors
    /// `overloaded` if too many others wait for the same; that the store can't be read: then the cause is logged.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn ReadStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        if self.reads.is_crowded() {
            return Err(Reads::shed());
        }
        self.reads.read(read).await.map_err(|error| self.read_failed(&error))
    }

    /// The refusal of a read that failed. While the store can't be read, that is not logged every time.
    pub fn read_failed(&self, error: &StoreError) -> Refusal {
        if let Some(unsaid) = self.failed_reads.happened(self.clock.monotonic()) {
            tracing::error!(%error, others_before = unsaid, "a read failed");
        }
        error.refusal()
    }

    /// Keeps bytes, durably, and gives what names them.
    ///
    /// # Errors
    /// `too_large`, or that they can't be kept.
    pub async fn blob_put(
        &self,
        tenant: TenantId,
        media_type: String,
        bytes: Vec<u8>,
    ) -> Result<BlobName, Refusal> {
        let size = bytes.len() as u64;
        if size > limits::BLOB_BYTES {
            let detail = format!("the blob has {size} bytes; 64 MiB are allowed");
            return Err(Refusal::new(Code::TooLarge, detail)
                .hint("keep it in object storage and give the task its address"));
        }
        let (salt, now) = (self.random.bytes16(), self.now());
        self.blobs.put(&self.pipeline, tenant, media_type, bytes, salt, now).await
    }

    /// Puts a value that is too large for an event into a blob, and its name in its place.
    ///
    /// # Errors
    /// As [`Engine::blob_put`].
    pub async fn outsource(&self, tenant: TenantId, value: &mut Json) -> Result<(), Refusal> {
        let bytes = value.as_str().as_bytes().to_vec();
        *value = self.blob_put(tenant, VALUE.to_owned(), bytes).await?.to_value();
        Ok(())
    }

    /// The bytes of a blob, and what names it.
    ///
    /// # Errors
    /// If they can't be read; the cause is logged.
    pub async fn blob(&self, tenant: TenantId, id: &str) -> Result<Option<(BlobName, Vec<u8>)>, Refusal> {
        self.blobs.get(tenant, id.to_owned()).await.map_err(|error| {
            tracing::error!(%error, "a blob could not be read");
            error.refusal()
        })
    }

    /// Follows a stream from after this number; its last event is known to be `head`.
    pub fn follow(&self, tenant: TenantId, stream: StreamName, after: u64, head: u64) -> Follower {
        Follower::new(self.reads.clone(), &self.tails, tenant, stream, after, head)
    }

    /// A place among a task's followers: taken before it is submitted, it misses nothing.
    pub fn subscribe(&self, task: TaskId) -> Subscription {
        self.tails.subscribe(StreamName::Task(task))
    }
}

/// Takes back what workers of earlier runs of the server held in its own process: they are gone with it. What can't be written
/// now is asked for again by the reconciler.
async fn release(pipeline: Handle) {
    if let Err(refusal) = pipeline.ask(Op::Expire).await {
        tracing::warn!(%refusal, "what an earlier run held could not be taken back yet");
    }
}

fn odd() -> Refusal {
    Refusal::new(Code::Internal, "the pipeline gave an answer to another question")
}
