//! Waiting for a task while somebody watches.

use everloop_control::follow::Followed;
use everloop_control::inbox::Item;
use everloop_control::tasks::Shown;
use everloop_control::{Caller, Control};
use everloop_types::error::Refusal;
use everloop_types::id::TaskId;
use everloop_types::state::State;
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The longest wait: below the minute after which hosts give up a call.
pub(super) const LONGEST: Duration = Duration::from_secs(50);
/// The wait of whoever names none.
pub(super) const USUAL: Duration = Duration::from_secs(45);

/// Who waits.
pub(super) struct Waiter {
    /// Turns true when the server stops.
    pub(super) stopping: watch::Receiver<bool>,
    gone: CancellationToken,
    watcher: Option<(Peer<RoleServer>, ProgressToken)>,
    told: f64,
}

impl Waiter {
    /// Whoever sent this request.
    pub(super) fn of(context: &RequestContext<RoleServer>, stopping: watch::Receiver<bool>) -> Self {
        let token = context.meta.get_progress_token();
        let watcher = token.map(|token| (context.peer.clone(), token));
        Self { stopping, gone: context.ct.clone(), watcher, told: 0.0 }
    }

    /// Somebody who only wants the end.
    pub(super) fn silent(stopping: watch::Receiver<bool>) -> Self {
        Self { stopping, gone: CancellationToken::new(), watcher: None, told: 0.0 }
    }

    /// Until nobody waits for the answer any more, or the server stops.
    pub(super) async fn is_gone(&mut self) {
        tokio::select! {
            () = self.gone.cancelled() => {}
            () = crate::app::stopped(&mut self.stopping) => {}
        }
    }

    /// A task once it has ended, stands still or asks something; or as it stands when the time is over.
    ///
    /// # Errors
    /// `not_found`.
    pub(super) async fn wait(
        &mut self,
        control: &Control,
        caller: &Caller,
        id: TaskId,
        wait: Duration,
    ) -> Result<(Shown, Vec<Item>), Refusal> {
        let mut shown = control.get(caller, id).await?;
        if wait.is_zero() {
            return with_questions(control, caller, shown).await;
        }
        let until = tokio::time::sleep(wait.min(LONGEST));
        tokio::pin!(until);
        let mut following = control.follow(caller, id, shown.last_seq(), false).await?;
        loop {
            self.tell(&shown).await;
            if shown.task().state.is_terminal() || shown.task().state == State::Paused {
                return with_questions(control, caller, shown).await;
            }
            if shown.task().state == State::Waiting {
                let (shown, questions) = with_questions(control, caller, shown.clone()).await?;
                if !questions.is_empty() {
                    return Ok((shown, questions));
                }
            }
            let Some(following) = &mut following else { break };
            let next = async {
                loop {
                    match following.next().await? {
                        Followed::Events(events) if !events.iter().any(|event| tells(&event.kind)) => {}
                        Followed::Events(_) | Followed::Notice { .. } | Followed::End => {
                            return Ok::<_, Refusal>(());
                        }
                        Followed::Frame { .. } => {}
                    }
                }
            };
            tokio::select! {
                next = next => next?,
                () = &mut until => break,
                () = self.is_gone() => break,
            }
            shown = control.get(caller, id).await?;
        }
        let shown = control.get(caller, id).await?;
        with_questions(control, caller, shown).await
    }

    /// Says how far the task has got, where that is further than what was said before.
    async fn tell(&mut self, shown: &Shown) {
        let Some((peer, token)) = &self.watcher else { return };
        let task = shown.task();
        let progress = task.progress.clone().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "the protocol counts in doubles")]
        let (done, total) =
            (progress.done.unwrap_or(u64::from(task.steps)) as f64, progress.total.map(|total| total as f64));
        if done <= self.told {
            return;
        }
        self.told = done;
        let mut told = ProgressNotificationParam::new(token.clone(), done);
        told.total = total;
        told.message = Some(progress.note.unwrap_or_else(|| format!("{} steps are done", task.steps)));
        // Whoever does not listen any more misses nothing that can't be asked for.
        let _ = peer.notify_progress(told).await;
    }
}

/// Whether an event of this type may end a wait or is worth telling.
fn tells(kind: &str) -> bool {
    kind == "task.progress"
        || kind == "step.completed"
        || (kind.starts_with("task.") && kind != "task.child")
        || kind == "approval.requested"
}

/// A task with what it asks.
pub(super) async fn with_questions(
    control: &Control,
    caller: &Caller,
    shown: Shown,
) -> Result<(Shown, Vec<Item>), Refusal> {
    let asks = matches!(shown.task().state, State::Waiting | State::Paused);
    let questions = if asks { control.questions(caller, shown.task().id).await? } else { Vec::new() };
    Ok((shown, questions))
}
