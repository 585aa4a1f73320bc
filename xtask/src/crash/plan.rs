//! What is submitted: a number of the seed's own world gives a task, the same in every run.

use super::dice::Dice;
use serde_json::{Value, json};

/// The name of the input that some tasks wait for.
pub(crate) const INPUT: &str = "go";

/// The name of the one step of a task of kind `http`.
pub(crate) const REQUEST: &str = "request";

/// All tasks of a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    seed: u64,
    /// The lease of every task, where it is not the usual one.
    pub(crate) lease_ms: Option<u64>,
}

/// What the client does with a task beside submitting and following it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Nothing.
    Straight,
    /// Its one step is a request to where effects happen, answered after a time.
    Effect {
        /// That time.
        delay_ms: u64,
    },
    /// A step fails in so many tries and then succeeds.
    Retried(u32),
    /// A step fails more often than the task is tried.
    Dead,
    /// The task waits for an input, which the client sends at once or only when it is waited for.
    Input {
        /// At once.
        early: bool,
    },
    /// It is paused and resumed.
    Paused,
    /// It is cancelled.
    Cancelled,
}

/// How a task is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// Not at all.
    No,
    /// Every event.
    All,
    /// The outcomes of its steps only.
    Steps,
}

/// A step of a mock task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) duration_ms: u64,
    pub(crate) events: u32,
    pub(crate) fail_attempts: u32,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scripted {
    pub(crate) n: u64,
    pub(crate) key: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) course: Course,
    pub(crate) following: Following,
    /// Two callers submit it at the same time.
    pub(crate) twins: bool,
    /// It is submitted once more when it has been acknowledged.
    pub(crate) again: bool,
    /// Tries that it has.
    pub(crate) max_tries: u32,
    /// Its lease, where it is not the usual one.
    pub(crate) lease_ms: Option<u64>,
}

/// The types that a follower of steps asks for.
pub(crate) const STEP_TYPES: &str = "step.*";

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, lease_ms: None }
    }

    /// The beginning of every key, so that no task of another seed is taken for ours.
    fn prefix(self) -> String {
        format!("crash-{}-", self.seed)
    }

    /// The number that a key was made from.
    pub(crate) fn number(self, key: &str) -> Option<u64> {
        key.strip_prefix(&self.prefix())?.parse().ok()
    }

    /// The task with this number.
    pub(crate) fn task(self, n: u64) -> Scripted {
        let mut dice = Dice::new(self.seed, "task", n);
        let course = match dice.between(1, 15) {
            1..=4 => Course::Straight,
            5 | 6 => Course::Retried(u32::try_from(dice.between(1, 2)).unwrap_or(1)),
            7 => Course::Dead,
            8 | 9 => Course::Input { early: dice.one_in(2) },
            10 | 11 => Course::Paused,
            12 => Course::Cancelled,
            _ => Course::Effect { delay_ms: dice.between(0, 80) },
        };
        // Some tasks are quick, some are there long enough for a kill to cut them.
        let long = dice.one_in(2) || matches!(course, Course::Paused | Course::Cancelled);
        let (steps, longest) = if long { (dice.between(3, 8), 60) } else { (dice.between(1, 3), 8) };
        let failing = dice.between(1, steps);
        let fail_attempts = match course {
            Course::Retried(tries) => tries,
            Course::Dead => 100,
            Course::Straight
            | Course::Effect { .. }
            | Course::Input { .. }
            | Course::Paused
            | Course::Cancelled => 0,
        };
        let mut steps: Vec<Step> = (1..=steps)
            .map(|at| Step {
                name: format!("s{at}"),
                duration_ms: dice.between(0, longest),
                events: u32::try_from(dice.between(0, 3)).unwrap_or(0),
                fail_attempts: if at == failing { fail_attempts } else { 0 },
            })
            .collect();
        if let Course::Effect { .. } = course {
            steps = vec![Step { name: REQUEST.to_owned(), duration_ms: 0, events: 0, fail_attempts: 0 }];
        }
        let following = match dice.between(1, 3) {
            1 => Following::No,
            2 => Following::All,
            _ => Following::Steps,
        };
        Scripted {
            n,
            key: format!("{}{n}", self.prefix()),
            steps,
            course,
            following,
            twins: dice.one_in(8),
            again: dice.one_in(4),
            max_tries: if course == Course::Dead { 2 } else { 3 },
            lease_ms: self.lease_ms,
        }
    }
}

impl Scripted {
    /// The request that submits it: the same bytes every time. Effects happen at a port of this machine.
    pub(crate) fn request(&self, effects_port: u16) -> String {
        let steps: Vec<Value> = self.steps.iter().map(Step::json).collect();
        let mut input = json!({ "steps": steps });
        match self.course {
            Course::Input { .. } => input["wait_for_input"] = json!(INPUT),
            Course::Straight
            | Course::Effect { .. }
            | Course::Retried(_)
            | Course::Dead
            | Course::Paused
            | Course::Cancelled => input["result"] = self.result(),
        }
        if let Course::Effect { delay_ms } = self.course {
            let host = format!("127.0.0.1:{effects_port}");
            let url = format!("http://{host}/effect/{}/{delay_ms}", self.n);
            let profile = json!({ "hosts": [host] });
            let mut request = json!({
                "kind": "http", "key": self.key, "input": { "method": "PUT", "url": url },
                "policy": { "profile": profile }
            });
            self.lease(&mut request);
            return request.to_string();
        }
        let retry = json!({ "max_tries": self.max_tries, "initial_ms": 50, "max_ms": 200 });
        let mut request =
            json!({ "kind": "mock", "key": self.key, "input": input, "policy": { "retry": retry } });
        self.lease(&mut request);
        request.to_string()
    }

    fn lease(&self, request: &mut Value) {
        if let Some(ms) = self.lease_ms {
            request["policy"]["lease_ms"] = json!(ms);
        }
    }

    /// What it ends with where it completes. A task that waits gives what it was sent.
    pub(crate) fn result(&self) -> Value {
        json!({ "n": self.n })
    }

    /// The id of the input that is sent: the same for every try.
    pub(crate) fn input_id(&self) -> String {
        format!("{}-{INPUT}", self.key)
    }
}

impl Step {
    fn json(&self) -> Value {
        let mut step = json!({ "name": self.name });
        for (member, value) in [
            ("duration_ms", self.duration_ms),
            ("events", u64::from(self.events)),
            ("fail_attempts", u64::from(self.fail_attempts)),
        ] {
            if value > 0 {
                step[member] = json!(value);
            }
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_tasks_and_every_course() {
        let plan = Plan::new(7);
        let mut seen = Vec::new();
        for n in 0..200 {
            let task = plan.task(n);
            assert_eq!(task, Plan::new(7).task(n));
            assert_eq!(plan.number(&task.key), Some(n));
            assert!(!task.steps.is_empty());
            let course = std::mem::discriminant(&task.course);
            if !seen.contains(&course) {
                seen.push(course);
            }
        }
        assert_eq!(seen.len(), 7);
        assert_eq!(plan.number("crash-8-1"), None);
        assert_ne!(plan.task(1).request(80), Plan::new(8).task(1).request(80));
    }
}
