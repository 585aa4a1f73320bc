//! What a task waits for. A wait ends the attempt unless it is over or short.

use crate::context::Context;
use crate::executor::Stop;
use everloop_journal::digest;
use everloop_types::event::{ApprovalRequested, InputTaken};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::wait::Wait;
use std::pin::pin;
use std::time::Duration;

/// The kind of the record of a timer that was held until it fired.
const SLEEP: &str = "sleep";
/// Waits shorter than this are held instead of suspending the task.
pub const WARM_WAIT: Duration = Duration::from_secs(2);

impl Context {
    /// Waits for a time to pass, across restarts. A short wait is held; a longer one frees the worker.
    ///
    /// # Errors
    /// The reason to stop: the wait itself, if it frees the worker.
    pub async fn sleep(&self, name: &str, duration: Duration) -> Result<(), Stop> {
        let id = self.next_key(name);
        self.boundary()?;
        let nothing = digest::intent(&Json::null());
        {
            let mut journal = self.journal();
            if journal.has_fired(&id) {
                return Ok(());
            }
            if journal.has_step(&id) {
                return journal.find(&id, SLEEP, &nothing).map(|_| ());
            }
        }
        // One that was waited for together with other things fires when it was first said to.
        let known = self.journal().timer(&id);
        let at = known.unwrap_or_else(|| self.wall_clock().plus(duration));
        let left = known.map_or(duration, |at| at.since(self.wall_clock()));
        if left < WARM_WAIT {
            // What is recorded behind it was made when it was over.
            if self.manner.is_past || self.replays() {
                return Ok(());
            }
            if self.is_dry() {
                return Err(Stop::Replayed(vec![id]));
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(left) => return self.boundary(),
                stop = self.must_end() => return Err(stop),
            }
        }
        if self.held(left).await? {
            self.boundary()?;
            self.record(id, SLEEP, nothing, Json::null());
            return Ok(());
        }
        Err(Stop::Waiting(Wait::Timer { at, id }))
    }

    /// Holds a timer for as long as something beside it goes on: whether it has fired by then.
    pub(crate) async fn held(&self, left: Duration) -> Result<bool, Stop> {
        if !self.manner.in_race || self.is_dry() {
            return Ok(false);
        }
        let activity = &self.shared().activity;
        let _parked = activity.park();
        let mut over = pin!(tokio::time::sleep(left));
        loop {
            let mut changed = pin!(activity.changed());
            changed.as_mut().enable();
            if activity.is_stuck() {
                return Ok(false);
            }
            tokio::select! {
                biased;
                () = &mut over => return Ok(true),
                stop = self.must_end() => return Err(stop),
                () = changed => {}
            }
        }
    }

    /// Waits for the end of a child, as long as it takes: how it ended. Its result is with the child.
    ///
    /// # Errors
    /// The reason to stop: the wait itself, if it has not ended.
    pub async fn wait_child(&self, name: &str, child: TaskId) -> Result<State, Stop> {
        let id = self.next_key(name);
        let ended = self.journal().child(child);
        self.boundary()?;
        match ended {
            Some((state, taken)) => {
                if !taken {
                    self.push(InputTaken { id: child.to_string(), step: id }.into());
                }
                Ok(state)
            }
            None => Err(Stop::Waiting(Wait::Child { id, task: child })),
        }
    }

    /// Takes the next input of a name, waiting for it as long as it takes.
    ///
    /// # Errors
    /// The reason to stop: the wait itself, if nothing has come.
    pub async fn wait_input(&self, name: &str) -> Result<Json, Stop> {
        let step = self.next_key(name);
        let found = self.journal().input(&step, name);
        self.boundary()?;
        match found {
            Some((taken, data)) => {
                if let Some(id) = taken {
                    self.push(InputTaken { id, step }.into());
                }
                self.resolve(data).await
            }
            None => Err(Stop::Waiting(Wait::Input { id: step, name: name.to_owned() })),
        }
    }

    /// Asks a person and waits for the answer: its word, and the value that came with it.
    ///
    /// # Errors
    /// The reason to stop: the wait itself, if nobody has answered.
    pub async fn ask(
        &self,
        name: &str,
        prompt: &str,
        choices: &[&str],
        details: Option<Json>,
    ) -> Result<(String, Option<Json>), Stop> {
        let id = self.next_key(name);
        let (decision, result) = self.ask_with_id(id, prompt, choices, details)?;
        Ok(match result {
            Some(result) => (decision, Some(self.resolve(result).await?)),
            None => (decision, None),
        })
    }

    pub(crate) fn ask_with_id(
        &self,
        id: String,
        prompt: &str,
        choices: &[&str],
        details: Option<Json>,
    ) -> Result<(String, Option<Json>), Stop> {
        let journal = self.journal();
        if let Some(answer) = journal.decision(&id) {
            return Ok(answer.clone());
        }
        if !journal.was_asked(&id) {
            drop(journal);
            if self.is_dry() {
                return Err(Stop::Replayed(vec![id]));
            }
            let choices = choices.iter().map(|choice| (*choice).to_owned()).collect();
            let request = ApprovalRequested { choices, details, id: id.clone(), prompt: prompt.to_owned() };
            self.push(request.into());
        }
        Err(Stop::Waiting(Wait::Decision { id }))
    }
}
