//! Rules about what tasks do to the world.

use super::{Oracle, Verdict};
use everloop_types::id::TaskId;
use everloop_types::state::State;
use everloop_types::step::OnUnknown;

/// A step acted.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    pub(crate) task: TaskId,
    pub(crate) step: String,
    pub(crate) attempt: u32,
    /// What makes it one effect where it is made.
    pub(crate) idempotency_key: String,
    pub(crate) on_unknown: OnUnknown,
    pub(crate) machine: String,
    /// The machine stood still while the step ran, or its clock did not long ago: it can't know that it has lost its lease.
    pub(crate) froze: bool,
}

impl Oracle {
    /// A step acts now.
    pub(crate) fn acts(&mut self, effect: Effect) {
        let before = self.effects.get(&(effect.task, effect.step.clone())).cloned().unwrap_or_default();
        let verdicts = [
            ("a recorded step does not act again", self.not_recorded(&effect)),
            ("only the holder of the lease acts", self.by_the_holder(&effect)),
            ("the loser of a race does not act", self.has_not_lost(&effect)),
            ("a step acts when what came before it is recorded", self.after_what_came_before(&effect)),
            ("an attempt does a step once", once_an_attempt(&effect, &before)),
            ("a step keeps its idempotency key", same_key(&effect, &before)),
            ("a careful step is not repeated unasked", self.not_unasked(&effect, &before)),
        ];
        for (rule, verdict) in verdicts {
            let verdict = verdict.map_err(|why| format!("{why}\n{effect:?}\n{}", self.story(effect.task)));
            self.rule(rule, verdict);
        }
        self.effects.entry((effect.task, effect.step.clone())).or_default().push(effect);
    }

    fn not_recorded(&self, effect: &Effect) -> Verdict {
        let recorded =
            self.tasks.get(&effect.task).is_some_and(|told| told.facts.recorded.contains_key(&effect.step));
        if recorded && !effect.froze {
            return Err(format!("step {} of {} has an outcome, and acts", effect.step, effect.task));
        }
        Ok(())
    }

    /// What is in no branch comes one after the other.
    fn after_what_came_before(&self, effect: &Effect) -> Verdict {
        let in_branch = |step: &str| step.contains("]/");
        let Some(told) = self.tasks.get(&effect.task) else { return Ok(()) };
        if effect.froze || in_branch(&effect.step) {
            return Ok(());
        }
        let of_task = self.effects.range((effect.task, String::new())..);
        for ((_, step), acts) in of_task.take_while(|((task, _), _)| *task == effect.task) {
            let is_before = *step != effect.step && !in_branch(step);
            let in_attempt = acts.iter().any(|act| act.attempt == effect.attempt);
            if is_before && in_attempt && !told.facts.recorded.contains_key(step) {
                return Err(format!(
                    "{step} was before it in attempt {}, and has no outcome",
                    effect.attempt
                ));
            }
        }
        Ok(())
    }

    /// A step `race#1[n]/step#1` belongs to branch n of a race.
    fn has_not_lost(&self, effect: &Effect) -> Verdict {
        let branch = effect.step.split_once("]/").and_then(|(scope, _)| scope.rsplit_once('['));
        let (Some((race, branch)), Some(told)) = (branch, self.tasks.get(&effect.task)) else {
            return Ok(());
        };
        match told.facts.recorded.get(race) {
            Some(winner) if winner != branch && !effect.froze => {
                Err(format!("branch {winner} of {race} has won, and {} acts", effect.step))
            }
            _ => Ok(()),
        }
    }

    /// A task is told who has won a race.
    pub(crate) fn won(&mut self, task: TaskId, race: &str, winner: usize) {
        let first = *self.winners.entry((task, race.to_owned())).or_insert(winner);
        let verdict = if first == winner {
            Ok(())
        } else {
            Err(format!("{task}: {first} won {race}, and then {winner}"))
        };
        self.rule("a race has one winner", verdict);
    }

    /// A task is told how its child has ended.
    pub(crate) fn child_ended(&mut self, child: TaskId, ended: State) {
        let state = self.tasks.get(&child).map(|told| told.task.state);
        let verdict = if state == Some(ended) {
            Ok(())
        } else {
            Err(format!("{child} is {state:?}, and its parent hears {ended}"))
        };
        self.rule("a parent hears how its child has ended", verdict);
    }

    fn by_the_holder(&self, effect: &Effect) -> Verdict {
        let facts = self.tasks.get(&effect.task).map(|told| &told.facts);
        let holder = facts.and_then(|facts| facts.holder.as_ref());
        match holder {
            None if facts.and_then(|facts| facts.cut_off) == Some(effect.attempt) => Ok(()),
            Some((attempt, _)) if *attempt == effect.attempt => Ok(()),
            _ if effect.froze => Ok(()),
            holder => Err(format!(
                "attempt {} acts on {}, and the holder is {holder:?}",
                effect.attempt, effect.machine
            )),
        }
    }

    fn not_unasked(&self, effect: &Effect, before: &[Effect]) -> Verdict {
        if !effect.on_unknown.needs_start() {
            return Ok(());
        }
        let Some(told) = self.tasks.get(&effect.task) else { return Ok(()) };
        let (_, started_in) = told.facts.starts.get(&effect.step).copied().unwrap_or_default();
        if started_in != effect.attempt && !effect.froze {
            return Err(format!("attempt {} acts, and its start is not recorded", effect.attempt));
        }
        let of_step = |id: &str| id == effect.step || id.starts_with(&format!("{}/start-", effect.step));
        let decided =
            told.facts.decisions.iter().filter(|(id, word)| of_step(id) && *word == "rerun").count();
        let failed = told.facts.failures.get(&effect.step).copied().unwrap_or_default();
        let allowed = 1 + decided + usize::try_from(failed).unwrap();
        if before.len() + 1 > allowed {
            return Err(format!(
                "step {} acts for time {}, and {decided} times somebody wanted that",
                effect.step,
                before.len() + 1
            ));
        }
        Ok(())
    }

    /// How often steps acted, and how often again.
    pub(crate) fn effects_counted(&self) -> (u64, u64) {
        let all: usize = self.effects.values().map(Vec::len).sum();
        (all as u64, (all - self.effects.len()) as u64)
    }
}

fn once_an_attempt(effect: &Effect, before: &[Effect]) -> Verdict {
    if before.iter().any(|earlier| earlier.attempt == effect.attempt) {
        return Err(format!("attempt {} does step {} again", effect.attempt, effect.step));
    }
    Ok(())
}

fn same_key(effect: &Effect, before: &[Effect]) -> Verdict {
    match before.iter().find(|earlier| earlier.idempotency_key != effect.idempotency_key) {
        Some(earlier) => Err(format!("its key was {}", earlier.idempotency_key)),
        None => Ok(()),
    }
}
