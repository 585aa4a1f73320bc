//! What is done at the end whatever that end is, and how long something may take.

use crate::context::{Context, Control, Manner};
use crate::executor::Stop;
use std::time::Duration;

impl Context {
    /// Does `work`, and then `clean`, however `work` ended: with a value, with an error that is not tried again, or because the
    /// task was cancelled or took too long. It is dropped where it stands then, and the steps of `clean` run within the grace.
    /// While the task only waits, pauses, or will be tried again, nothing is cleaned up.
    ///
    /// # Errors
    /// Those of `work`; else those of `clean`.
    pub async fn finally<T, R>(
        &self,
        work: impl Future<Output = Result<T, Stop>>,
        clean: impl FnOnce(Self) -> R,
    ) -> Result<T, Stop>
    where
        R: Future<Output = Result<(), Stop>>,
    {
        let outcome = tokio::select! {
            biased;
            done = work => done,
            stop = self.must_end() => Err(stop),
        };
        if !self.is_end(outcome.as_ref().err()) {
            return outcome;
        }
        let cleaned = clean(self.with_manner(Manner { cleans_up: true, ..self.manner })).await;
        match (outcome, cleaned) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(stop)) | (Err(_), Err(stop @ (Stop::LeaseLost | Stop::Replayed(_)))) => Err(stop),
            (Err(stop), Ok(())) => Err(stop),
            (Err(stop), Err(other)) => {
                self.log(everloop_types::event::Level::Error, format!("cleaning up ended with {other:?}"));
                Err(stop)
            }
        }
    }

    /// Whether the task ends by this.
    fn is_end(&self, stop: Option<&Stop>) -> bool {
        let assignment = self.assignment();
        match (stop, self.control()) {
            (None | Some(Stop::ContinueAs(_)), _) => true,
            (Some(Stop::Failed(_) | Stop::Cancelled), Control::Cancel { .. } | Control::Timeout { .. }) => {
                true
            }
            (Some(Stop::Failed(error)), _) => {
                !error.class.is_retried() || assignment.tries + 1 >= assignment.spec.policy.retry.max_tries
            }
            (
                Some(
                    Stop::Waiting(_)
                    | Stop::Paused(_)
                    | Stop::Cancelled
                    | Stop::HandedBack
                    | Stop::LeaseLost
                    | Stop::Replayed(_),
                ),
                _,
            ) => false,
        }
    }

    /// Does something for at most so long, across restarts: nothing, if the time was over first. It is a race with a timer.
    ///
    /// # Errors
    /// Those of `work`; the reason to stop.
    pub async fn timeout<'a, T, R>(
        &'a self,
        name: &str,
        limit: Duration,
        work: impl FnOnce(Self) -> R + Send + 'a,
    ) -> Result<Option<T>, Stop>
    where
        T: 'a,
        R: Future<Output = Result<T, Stop>> + Send + 'a,
    {
        let race = self.race(name).branch(|context| {
            let work = work(context);
            async move { work.await.map(Some) }
        });
        let race = race.branch(move |context| async move {
            context.sleep("timeout", limit).await?;
            Ok(None)
        });
        race.run().await.map(|(_, value)| value)
    }
}
