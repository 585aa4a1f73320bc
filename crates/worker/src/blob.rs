//! Bytes beside the events: values that were too large for one, and whatever else a task has put aside.

use crate::context::Context;
use crate::executor::Stop;
use crate::source::{SourceError, Sourced};
use everloop_types::blob::{BlobName, VALUE};
use everloop_types::error::{Code, TaskError};
use everloop_types::json::Json;
use std::time::Duration;

impl Context {
    /// The bytes that a name stands for.
    ///
    /// # Errors
    /// `not_found`; the reason to stop.
    pub async fn blob(&self, name: &BlobName) -> Result<Vec<u8>, Stop> {
        let found = self.ask_source(|context| {
            context.shared().source().blob(context.assignment().tenant, name.id.clone())
        });
        found.await?.ok_or_else(|| {
            let message = format!("the blob {} is not there", name.id);
            Stop::Failed(TaskError::new(Code::NotFound, message))
        })
    }

    /// Puts bytes aside, durably. Its [`BlobName::to_value`] as an input, result or step outcome keeps them for as long as
    /// the task; otherwise they go after an hour.
    ///
    /// # Errors
    /// `too_large`; the reason to stop.
    pub async fn put_blob(&self, media_type: &str, bytes: &[u8]) -> Result<BlobName, Stop> {
        let put = self.ask_source(|context| {
            let tenant = context.assignment().tenant;
            context.shared().source().put_blob(tenant, media_type.to_owned(), bytes.to_vec())
        });
        put.await
    }

    /// The value itself, where it was too large for its event.
    pub(crate) async fn resolve(&self, value: Json) -> Result<Json, Stop> {
        let Ok(Some(name)) = BlobName::of(&value) else { return Ok(value) };
        if name.media_type != VALUE {
            return Ok(value);
        }
        let bytes = self.blob(&name).await?;
        // Whoever put it as JSON may have put it in another form.
        everloop_journal::canonical::canonicalize(&bytes).map_err(|error| {
            let message = format!("the blob {} is not JSON: {error}", name.id);
            Stop::Failed(TaskError::new(Code::NotCanonical, message))
        })
    }

    /// Asks until there is an answer, or the task has to stop.
    async fn ask_source<'a, T>(&'a self, ask: impl Fn(&'a Self) -> Sourced<'a, T>) -> Result<T, Stop> {
        let mut pause = Duration::from_millis(20);
        loop {
            match ask(self).await {
                Ok(answer) => return Ok(answer),
                Err(SourceError::Refused(refusal)) => {
                    return Err(Stop::Failed(TaskError::new(refusal.code, refusal.detail)));
                }
                Err(SourceError::Unavailable(why)) => {
                    tracing::debug!(why, "a blob could not be had or put; trying again");
                    tokio::time::sleep(pause).await;
                    self.boundary()?;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
    }
}
