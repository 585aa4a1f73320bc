//! What a task says while it runs: logs, progress, events of its own, and frames, which only those see who look on.
//!
//! Where an earlier attempt has been, nothing is said again.

use crate::context::{Context, canonical};
use crate::executor::Stop;
use crate::source::Frame;
use base64::Engine as _;
use everloop_types::error::{Code, TaskError};
use everloop_types::event::{EventBody, Level, Log};
use everloop_types::json::Json;
use everloop_types::task::Progress;
use serde::Serialize;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;

/// Frames that wait to be sent, at most: more than that, and the oldest are lost.
const FRAMES: usize = 1_000;
/// How long the end of an attempt waits for its frames.
const LAST_FRAMES: Duration = Duration::from_secs(1);

/// Frames on their way to the source: what is added while some are sent goes together with the next.
#[derive(Default)]
pub(crate) struct Frames {
    pending: Mutex<Pending>,
    added: Notify,
}

#[derive(Default)]
struct Pending {
    frames: Vec<Frame>,
    is_sending: bool,
}

impl Frames {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, frame: Frame) {
        let mut pending = self.pending();
        if pending.frames.len() >= FRAMES {
            pending.frames.remove(0);
        }
        pending.frames.push(frame);
        drop(pending);
        self.added.notify_one();
    }

    fn take(&self) -> Vec<Frame> {
        let mut pending = self.pending();
        pending.is_sending = !pending.frames.is_empty();
        std::mem::take(&mut pending.frames)
    }

    fn is_idle(&self) -> bool {
        let pending = self.pending();
        pending.frames.is_empty() && !pending.is_sending
    }
}

impl Context {
    /// Whether this was not said by an earlier attempt already, and is to be said at all.
    fn speaks(&self) -> bool {
        !self.is_dry() && !self.replays()
    }

    /// Writes a log line.
    pub fn log(&self, level: Level, text: impl Into<String>) {
        if self.speaks() {
            self.log_chunk("executor", level, 0, text.into().into_bytes());
        }
    }

    /// Writes a chunk of output of a source; the bytes of one source, joined, are what it wrote.
    pub fn log_chunk(&self, source: &str, level: Level, offset: u64, bytes: Vec<u8>) {
        let source = source.to_owned();
        let (text, base64) = match String::from_utf8(bytes) {
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(base64::engine::general_purpose::STANDARD.encode(bytes.as_bytes()))),
        };
        self.push(Log { base64, level, offset, source, text }.into());
    }

    /// Says how far the task has got. Written at most ten times a second; what comes faster reaches live followers only.
    pub fn progress(&self, progress: Progress) {
        if !self.speaks() {
            return;
        }
        let every = 1000 / u64::from(everloop_types::limits::PROGRESS_PER_SECOND);
        let now = u64::try_from(self.shared().clock().monotonic().as_millis()).unwrap_or(u64::MAX);
        let last = self.shared().progress_at.load(Ordering::Relaxed);
        let is_end = progress.total.is_some() && progress.done == progress.total;
        if last == 0 || is_end || now.saturating_sub(last) >= every {
            self.shared().progress_at.store(now.max(1), Ordering::Relaxed);
            self.push(EventBody::Progressed(progress.into()));
        } else if let Ok(data) = canonical(&progress) {
            self.frame("progress", data);
        }
    }

    /// Writes an event of the executor's own: `custom.<name>`.
    ///
    /// # Errors
    /// If the name is not of the form `[a-z0-9_.]{1,64}` or the data can't be written as canonical JSON.
    pub fn custom(&self, name: &str, data: &impl Serialize) -> Result<(), Stop> {
        if !everloop_types::names::is_custom_event(name) {
            let message = format!("{name:?} can't name an event: lower-case letters, digits, _ and . only");
            return Err(Stop::Failed(TaskError::new(Code::InvalidRequest, message)));
        }
        let data = canonical(data)?;
        if self.speaks() {
            self.push(EventBody::Custom { name: name.to_owned(), data });
        }
        Ok(())
    }

    /// Shows something to live followers. It is not stored, and may be lost.
    pub fn frame(&self, kind: &str, data: Json) {
        if self.speaks() {
            self.shared().frames.push(Frame { kind: kind.to_owned(), data });
        }
    }

    /// Shows a token of a model to live followers.
    pub fn token(&self, text: &str) {
        if let Ok(data) = canonical(&text) {
            self.frame("token", data);
        }
    }

    /// Sends frames as they come. Does not end.
    pub(crate) async fn show(&self) -> std::convert::Infallible {
        let (shared, assignment) = (self.shared(), self.assignment());
        loop {
            let frames = shared.frames.take();
            if frames.is_empty() {
                shared.frames.added.notified().await;
                continue;
            }
            // A frame that is lost is a frame that is lost.
            let _ =
                shared.source().frames(assignment.tenant, assignment.task, assignment.lease, frames).await;
            shared.frames.pending().is_sending = false;
        }
    }

    /// Goes on with [`Context::show`] until nothing is left, or for a while.
    pub(crate) async fn shown(&self, mut show: Pin<&mut impl Future<Output = std::convert::Infallible>>) {
        let idle = poll_fn(|polled| {
            let _ = show.as_mut().poll(polled);
            if self.shared().frames.is_idle() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = tokio::time::timeout(LAST_FRAMES, idle).await;
    }
}
