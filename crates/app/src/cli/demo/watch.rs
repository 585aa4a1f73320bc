//! Watching the demo's task: a bar on a terminal, plain lines elsewhere.

use crate::cli::show;
use crate::failure::Failure;
use crate::output;
use everloop_client::Client;
use everloop_client::follow::{Follow, Item};
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::pin::pin;

/// What was seen of the task.
pub(super) struct Watch {
    bar: ProgressBar,
    /// Elsewhere than on a terminal: a line for each tenth of the way.
    plain: bool,
    total: usize,
    steps: usize,
    /// The last event that was seen.
    position: u64,
}

impl Watch {
    pub(super) fn new(total: usize, shown: bool) -> Self {
        let is_bar = shown && output::is_watched();
        let target = if is_bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(u64::try_from(total).ok(), target);
        let style = if output::is_coloured() {
            "   {bar:40.green} {pos} of {len} steps  {wide_msg}"
        } else {
            "   {bar:40} {pos} of {len} steps  {wide_msg}"
        };
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, plain: shown && !is_bar, total, steps: 0, position: 0 }
    }

    /// Steps that were seen as recorded.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Takes the bar away while something else is said.
    pub(super) fn pause(&self) {
        self.bar.finish_and_clear();
        self.bar.reset();
        self.bar.set_position(self.steps as u64);
    }

    /// Watches until so many steps were seen, or the task has ended.
    pub(super) async fn until(&mut self, client: &Client, task: &str, steps: u64) -> Result<(), Failure> {
        let mut items = pin!(client.follow(task, Follow { after: self.position, ..Follow::default() }));
        while let Some(item) = items.next().await.transpose()? {
            let Item::Event { seq, kind, event } = item else { continue };
            self.position = seq;
            let Some(view) = show::event(&event) else { continue };
            match kind.as_str() {
                "step.completed" => self.step(view.text("step").unwrap_or_default()),
                "task.progress" => self.bar.set_message(view.text("note").unwrap_or_default().to_owned()),
                "task.lease_lost" => self.note("   the first attempt is found lost"),
                "task.started" => {
                    let attempt = view.member("attempt").map(ToString::to_string).unwrap_or_default();
                    self.note(&format!("   attempt {attempt} begins at event {seq}"));
                }
                // The rest is for `everloop task follow`.
                _ => {}
            }
            if self.steps as u64 >= steps {
                break;
            }
        }
        Ok(())
    }

    fn note(&self, text: &str) {
        if self.plain {
            output::talk(text);
        } else {
            self.bar.println(text);
        }
    }

    fn step(&mut self, step: &str) {
        self.steps += 1;
        self.bar.set_position(self.steps as u64);
        let tenth = (self.total / 10).max(1);
        if self.plain && (self.steps.is_multiple_of(tenth) || self.steps == self.total) {
            output::talk(format!("   {} of {} steps ({step})", self.steps, self.total));
        }
    }
}
