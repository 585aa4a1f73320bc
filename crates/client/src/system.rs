//! What surrounds the tasks: queues, kinds, workers, dead letters, the inbox, figures, health, blobs.

use crate::error::ClientError;
use crate::http::{Call, Client, segment};
use bytes::Bytes;
use everloop_api::page::Page;
use everloop_api::system::{
    AboutView, BlobView, HealthView, InboxItem, KindView, QueueView, StatsView, WorkerView,
};
use everloop_api::task::TaskView;
use everloop_api::{BASE, IDEMPOTENCY_HEADER};
use reqwest::Method;

impl Client {
    /// What the server is.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn about(&self) -> Result<AboutView, ClientError> {
        self.read(Call::get(format!("{BASE}/about"))).await
    }

    /// Whether the server works.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn health(&self) -> Result<HealthView, ClientError> {
        self.read(Call::get("/health")).await
    }

    /// Figures.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn stats(&self) -> Result<StatsView, ClientError> {
        self.read(Call::get(format!("{BASE}/stats"))).await
    }

    /// The queues.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn queues(&self) -> Result<Page<QueueView>, ClientError> {
        self.read(Call::get(format!("{BASE}/queues"))).await
    }

    /// Lets a queue stand still, or go on.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn queue_pause(&self, queue: &str, paused: bool) -> Result<QueueView, ClientError> {
        let act = if paused { "pause" } else { "resume" };
        self.read(Call::post(format!("{BASE}/queues/{}/{act}", segment(queue))).repeatable()).await
    }

    /// The kinds of task that somebody runs.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn kinds(&self) -> Result<Page<KindView>, ClientError> {
        self.read(Call::get(format!("{BASE}/kinds"))).await
    }

    /// The workers.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn workers(&self, cursor: Option<&str>) -> Result<Page<WorkerView>, ClientError> {
        self.read(Call::get(format!("{BASE}/workers")).maybe("cursor", cursor)).await
    }

    /// Forgets a worker; its tasks go to others.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn worker_delete(&self, worker: &str) -> Result<(), ClientError> {
        self.done(Call::new(Method::DELETE, format!("{BASE}/workers/{}", segment(worker)))).await
    }

    /// Tasks that failed and wait for somebody to look at them.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn dead_letters(
        &self,
        limit: Option<usize>,
        cursor: Option<&str>,
    ) -> Result<Page<TaskView>, ClientError> {
        let call = Call::get(format!("{BASE}/dead-letters")).maybe("limit", limit).maybe("cursor", cursor);
        self.read(call).await
    }

    /// Forks a failed task with all that was recorded.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn redrive(&self, task: &str) -> Result<TaskView, ClientError> {
        self.read(Call::post(format!("{BASE}/dead-letters/{}/redrive", segment(task)))).await
    }

    /// The same under a request key of the caller's: however often it is sent, there is one fork.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn redrive_as(&self, task: &str, request_key: &str) -> Result<TaskView, ClientError> {
        let call = Call::post(format!("{BASE}/dead-letters/{}/redrive", segment(task)));
        self.read(call.header(IDEMPOTENCY_HEADER, request_key)?.repeatable()).await
    }

    /// Everything that waits for a person.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn inbox(&self, cursor: Option<&str>) -> Result<Page<InboxItem>, ClientError> {
        self.read(Call::get(format!("{BASE}/inbox")).maybe("cursor", cursor)).await
    }

    /// The public keys that receipts of this installation are checked with, as a JWKS.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn keys(&self) -> Result<String, ClientError> {
        let (_, bytes) = self.send(Call::get("/.well-known/jwks.json")).await?;
        String::from_utf8(bytes.into()).map_err(|error| crate::http::protocol(&self.url(), error))
    }

    /// Puts a large value beside the log. Equal bytes are stored once, so that it may be repeated.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn blob_put(&self, bytes: Bytes, media_type: &str) -> Result<BlobView, ClientError> {
        self.read(Call::post(format!("{BASE}/blobs")).bytes(bytes, media_type).repeatable()).await
    }

    /// Reads a blob.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn blob(&self, id: &str) -> Result<Bytes, ClientError> {
        self.send(Call::get(format!("{BASE}/blobs/{}", segment(id)))).await.map(|(_, bytes)| bytes)
    }

    /// Whatever is at a path of the server, with its query: `/api/v1/blobs/…`.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        self.send(Call::get(path)).await.map(|(_, bytes)| bytes)
    }
}
