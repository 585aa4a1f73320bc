//! One attempt: run to its end, and the end written.

use crate::context::{Context, Control};
use crate::executor::{Registry, Stop};
use crate::source::AttemptEnd;
use everloop_types::error::{Code, TaskError};
use everloop_types::json::Json;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;

/// How long a record waits for company before it is written by itself. The end of the task, or the next step, comes first
/// when they come at once, and then they share a commit.
const GATHER: Duration = Duration::from_millis(2);

/// Runs one attempt to its end, and writes the end.
pub(crate) async fn run_attempt(registry: &Registry, context: Context, control: watch::Sender<Control>) {
    let assignment = context.assignment().clone();
    let outbox = &context.shared().outbox;
    let mut writing = pin!(
        async {
            loop {
                outbox.added().await;
                tokio::time::sleep(GATHER).await;
                if let Err(stop) = outbox.flush().await {
                    break stop;
                }
            }
        }
        .fuse()
    );
    let mut showing = pin!(context.show());
    let outcome = {
        let Some(executor) = registry.get(&assignment.spec.kind) else {
            let message = format!("this worker does not run kind {:?}", assignment.spec.kind);
            let error = TaskError::new(Code::UnknownKind, message);
            let _ = outbox.end(AttemptEnd::Failed { error }).await;
            return;
        };
        let work = async {
            context.fetch_input().await?;
            loop {
                let ended = executor.run(context.clone()).await;
                let may_begin_again = matches!(
                    ended,
                    Ok(_) | Err(Stop::Failed(_) | Stop::Waiting(_) | Stop::ContinueAs(_) | Stop::Replayed(_))
                );
                if !may_begin_again || !context.rewind() {
                    break ended;
                }
            }
        };
        let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
        let mut too_long = pin!(async {
            match assignment.spec.policy.timeout_ms {
                Some(limit) => tokio::time::sleep(Duration::from_millis(limit)).await,
                None => std::future::pending().await,
            }
        });
        let mut given_up = pin!(give_up(&context));
        let mut timed_out = false;
        loop {
            tokio::select! {
                biased;
                done = &mut work => break done.unwrap_or_else(|panic| Err(Stop::Failed(panicked(&*panic)))),
                stop = &mut writing => break Err(stop),
                stop = &mut given_up => break Err(stop),
                never = &mut showing => match never {},
                () = &mut too_long, if !timed_out => {
                    timed_out = true;
                    let grace = assignment.spec.policy.grace();
                    control.send_if_modified(|control| {
                        let changes = !control.is_stop();
                        if changes {
                            *control = Control::Timeout { grace };
                        }
                        changes
                    });
                }
            }
        }
    };
    let goes_on = matches!(outcome, Ok(_) | Err(Stop::Waiting(_) | Stop::ContinueAs(_)));
    context.settle("", goes_on);
    let Some(end) = ending(&context, outcome) else { return };
    context.shown(showing).await;
    let written = async {
        match outbox.end(end).await {
            // What could not be written is the end of the try, if that can be.
            Err(Stop::Failed(error)) => {
                // What else would be written might be refused as well, and then the attempt would never end.
                outbox.forget();
                outbox.end(AttemptEnd::Failed { error }).await
            }
            other => other,
        }
    };
    tokio::select! {
        biased;
        written = written => {
            if let Err(stop) = written {
                tracing::debug!(task = %assignment.task, ?stop, "the end of an attempt was not taken");
            }
        }
        // Polled on, because it may be in the middle of a batch that the end has to wait for.
        _ = &mut writing => {}
    }
}

/// Ends when the lease can't be counted on any more, or when the executor was told to stop and its grace has passed.
async fn give_up(context: &Context) -> Stop {
    tokio::select! {
        biased;
        () = context.shared().expired() => Stop::LeaseLost,
        stop = told_to_stop(context) => stop,
    }
}

async fn told_to_stop(context: &Context) -> Stop {
    let grace = match context.stopped().await {
        Control::Cancel { grace } | Control::Timeout { grace } => grace,
        Control::Run | Control::Pause | Control::HandBack | Control::Lost => return Stop::LeaseLost,
    };
    let mut control = context.shared().control.clone();
    tokio::select! {
        biased;
        () = tokio::time::sleep(grace) => {}
        // Nothing is left to clean up for: somebody else has the task.
        _ = control.wait_for(|control| *control == Control::Lost) => {}
    }
    match context.boundary() {
        Err(stop) => stop,
        Ok(()) => Stop::Cancelled,
    }
}

fn ending(context: &Context, outcome: Result<Json, Stop>) -> Option<AttemptEnd> {
    let outcome = match (outcome, context.control()) {
        (_, Control::Lost) | (Err(Stop::LeaseLost), _) => return None,
        (Ok(result), _) => match context.journal().unreached() {
            None => Ok(result),
            Some(stop) => Err(stop),
        },
        // Whatever an executor makes of being stopped: that is why.
        (Err(_), Control::Timeout { .. }) => Err(Stop::Failed(context.timed_out())),
        (Err(Stop::Failed(error)), Control::Cancel { .. }) if error.class.is_retried() => {
            Err(Stop::Cancelled)
        }
        (Err(stop), _) => Err(stop),
    };
    Some(match outcome {
        Ok(result) => AttemptEnd::Completed { result },
        Err(Stop::Failed(error)) => AttemptEnd::Failed { error },
        Err(Stop::Waiting(wait)) => AttemptEnd::Waiting { wait },
        Err(Stop::Paused(reason)) => AttemptEnd::Paused { reason },
        Err(Stop::Cancelled) => match context.control() {
            Control::Cancel { .. } => AttemptEnd::Cancelled,
            _ => AttemptEnd::Failed {
                error: TaskError::new(Code::Cancelled, "the executor gave up by itself"),
            },
        },
        Err(Stop::ContinueAs(input)) => AttemptEnd::ContinuedAs { input },
        Err(Stop::HandedBack) => AttemptEnd::Released,
        Err(Stop::LeaseLost) => return None,
        Err(Stop::Replayed(at)) => AttemptEnd::Paused { reason: context.replayed(at) },
    })
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> TaskError {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    TaskError::new(
        Code::ExecutorPanicked,
        format!("the executor panicked: {}", text.unwrap_or("without a message")),
    )
}
