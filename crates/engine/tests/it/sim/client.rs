//! Clients: they submit tasks, look after them, and try everything again until they know.

use super::dice::Dice;
use super::executor::is_passing;
use super::machine::Machine;
use super::net::Lost;
use super::plan::Plan;
use super::program::{self, KIND, Program};
use super::server::Server;
use super::world::World;
use everloop_control::Caller;
use everloop_control::forks::ForkPlan;
use everloop_control::submit::{NewTask, Submitted};
use everloop_control::tasks::Shown;
use everloop_types::error::{Code, Refusal};
use everloop_types::id::TaskId;
use everloop_types::state::State;
use everloop_types::task::{Concurrency, Dependency, DependsOn, TaskSpec};
use everloop_types::time::Clock;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// Submits its tasks, some at a time.
pub(crate) async fn run(world: Arc<World>, n: u32) {
    let name = format!("client-{n}");
    let machine = Arc::new(Machine::new(&name, world.start, 0));
    let dice = world.dice(&name);
    let made = Arc::new(Mutex::new(Vec::new()));
    let mut jobs = JoinSet::new();
    for job in 0..world.plan.jobs_each {
        tokio::time::sleep(dice.within(world.plan.pause)).await;
        while jobs.len() >= world.plan.jobs_at_once as usize {
            joined(&world, jobs.join_next().await);
        }
        let name = format!("{name}/{job}");
        let job = Job::draw(&world, &machine, &name, &made);
        jobs.spawn(job.run());
    }
    while !jobs.is_empty() {
        joined(&world, jobs.join_next().await);
    }
}

fn joined(world: &World, ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended {
        world.rule("nothing panics", Err(error.to_string()));
    }
}

/// A task and what is done about it.
pub(super) struct Job {
    pub(super) world: Arc<World>,
    pub(super) machine: Arc<Machine>,
    pub(super) dice: Dice,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) program: Program,
    pub(super) spec: TaskSpec,
    pub(super) made: Arc<Mutex<Vec<TaskId>>>,
    pub(super) early: bool,
    pub(super) pauses: bool,
    pub(super) cancels: bool,
    pub(super) patches: bool,
    pub(super) deletes: bool,
    pub(super) forks: bool,
    /// What was done about it so far.
    pub(super) sent: BTreeSet<String>,
    pub(super) cancelled: bool,
    pub(super) happened: bool,
    pub(super) gave_up: bool,
}

fn spec(
    dice: &Dice,
    plan: &Plan,
    name: &str,
    made: &[TaskId],
    now: everloop_types::time::Timestamp,
) -> TaskSpec {
    let mix = &plan.mix;
    let mut spec = TaskSpec::new(KIND);
    spec.key = Some(name.to_owned());
    spec.queue = (*dice.pick(&["default", "default", "high", "low"])).to_owned();
    let policy = &mut spec.policy;
    policy.priority = *dice.pick(&[0, 0, 0, 50, -50]);
    policy.retry.max_tries = dice.small(1, 4);
    policy.retry.initial_ms = dice.range(0, 5_000);
    policy.grace_ms = dice.per_mille(300).then(|| dice.range(0, 20_000));
    let lease = *dice.pick(&plan.leases);
    policy.lease_ms = (lease.as_secs() != 90).then(|| u64::try_from(lease.as_millis()).unwrap());
    if dice.per_mille(mix.capped) {
        policy.concurrency = Some(Concurrency { key: format!("cap{}", dice.below(2)), limit: 2 });
    }
    if dice.per_mille(mix.deadline) {
        policy.deadline = Some(now.plus(dice.within(plan.sleep * 2)));
    }
    if dice.per_mille(mix.timeout) {
        policy.timeout_ms = Some(1 + u64::try_from(dice.within(plan.step * 4).as_millis()).unwrap());
    }
    if dice.per_mille(mix.sleeps) {
        spec.not_before = Some(now.plus(dice.within(plan.sleep)));
    }
    if !made.is_empty() && dice.per_mille(mix.depends) {
        let on = *dice.pick(&[DependsOn::Completed, DependsOn::Ended]);
        spec.depends_on.push(Dependency { on, task: *dice.pick(made) });
    }
    spec
}

impl Job {
    fn draw(world: &Arc<World>, machine: &Arc<Machine>, name: &str, made: &Arc<Mutex<Vec<TaskId>>>) -> Self {
        let (plan, dice) = (&world.plan, world.dice(name));
        let mix = &plan.mix;
        let mut spec = spec(&dice, plan, name, &made.lock().unwrap(), world.host.now());
        let program = program::draw(&dice, plan, spec.policy.retry.max_tries);
        spec.input = Some(program.json());
        Self {
            world: world.clone(),
            machine: machine.clone(),
            name: name.to_owned(),
            key: name.to_owned(),
            program,
            spec,
            made: made.clone(),
            early: dice.per_mille(300),
            pauses: dice.per_mille(mix.paused),
            cancels: dice.per_mille(mix.cancelled),
            patches: dice.per_mille(mix.patched),
            deletes: dice.per_mille(mix.deleted),
            forks: dice.per_mille(mix.forked),
            sent: BTreeSet::new(),
            cancelled: false,
            happened: false,
            gave_up: false,
            dice,
        }
    }

    pub(super) fn say(&self, what: impl std::fmt::Display) {
        self.world.say(&self.name, what);
    }

    /// Asks until an answer comes that is one.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        what: impl Fn(Arc<Server>) -> BoxFuture<'static, Result<R, Refusal>>,
    ) -> Result<R, Refusal> {
        loop {
            match self.world.call(&self.machine, &self.dice, &what).await {
                Ok(Err(refusal)) if is_passing(&refusal) => {}
                Ok(answer) => return answer,
                Err(Lost(_)) => self.world.count("requests sent again"),
            }
            tokio::time::sleep(self.dice.within(Duration::from_secs(2))).await;
        }
    }

    pub(super) fn acknowledged(&self, what: &str, shown: &Shown) {
        let stored = self.world.stored();
        self.world.oracle().acknowledged(
            &*stored,
            shown.task().id,
            shown.head(),
            &format!("{} {what}", self.name),
        );
    }

    pub(super) fn rule(&self, rule: &'static str, verdict: Result<(), String>) {
        self.world.rule(rule, verdict.map_err(|why| format!("{}: {why}", self.name)));
    }

    pub(super) fn unexplained(&self, what: &str, refusal: &Refusal) {
        self.rule("no answer that nothing explains", Err(format!("{what} was refused: {refusal:?}")));
    }

    async fn submit(&self, spec: &TaskSpec) -> Result<Submitted, Refusal> {
        let new = NewTask {
            spec: spec.clone(),
            data_subject: None,
            request: spec.input.clone(),
            header_key: None,
            trace: None,
        };
        self.ask(move |server: Arc<Server>| -> BoxFuture<'static, _> {
            let new = new.clone();
            Box::pin(async move { server.control.submit(&Caller::local(true), new, None).await })
        })
        .await
    }

    async fn run(mut self) {
        let spec = self.spec.clone();
        let task = match self.submit(&spec).await {
            Ok(submitted) => self.submitted(&submitted, "is"),
            // Its prerequisite was deleted in the meantime.
            Err(refusal) if !spec.depends_on.is_empty() && refusal.code == Code::InvalidRequest => {
                self.say("its prerequisite is gone");
                return;
            }
            Err(refusal) => return self.unexplained("a submit", &refusal),
        };
        let Some(mut last) = self.look_after(task).await else { return };
        if self.dice.per_mille(250) {
            match self.submit(&spec).await {
                Ok(submitted) => drop(self.submitted(&submitted, "is still")),
                Err(refusal) => self.unexplained("a submit with a known key", &refusal),
            }
        }
        let another = Some(Program::default().json());
        if self.dice.per_mille(100) && spec.input != another {
            let other = TaskSpec { input: another, ..spec.clone() };
            let verdict = match self.submit(&other).await {
                Err(refusal) if refusal.code == Code::IdempotencyConflict => Ok(()),
                answer => Err(format!("its key was known, and the answer was {answer:?}")),
            };
            self.rule("another request under a known key is refused", verdict);
        }
        // Children belong to the source: a fork waits in vain for one that the source has not heard of.
        let hears = !self.program.has_children() || self.completed(last);
        if self.forks && hears {
            self.key = format!("{}/fork", self.key);
            let plan = ForkPlan { key: Some(self.key.clone()), ..ForkPlan::default() };
            let forked = self
                .ask(move |server: Arc<Server>| -> BoxFuture<'static, _> {
                    let plan = plan.clone();
                    Box::pin(async move { server.control.fork(&Caller::local(true), last, plan).await })
                })
                .await;
            match forked {
                Ok(forked) => {
                    let task = self.submitted(&forked, "forks into");
                    self.sent.clear();
                    let Some(ended) = self.look_after(task).await else { return };
                    last = ended;
                }
                Err(refusal) => self.unexplained("a fork", &refusal),
            }
        }
        if self.deletes {
            self.delete(last).await;
        }
    }

    fn completed(&self, task: TaskId) -> bool {
        self.world.oracle().tasks.get(&task).is_some_and(|told| told.task.state == State::Completed)
    }

    fn submitted(&self, submitted: &Submitted, what: &str) -> TaskId {
        let task = submitted.task.task().id;
        self.say(format_args!("{what} {task}"));
        let stored = self.world.stored();
        self.world.oracle().submitted(&*stored, &self.key, task, submitted.task.head());
        if submitted.created {
            self.made.lock().unwrap().push(task);
            self.world.known.lock().unwrap().push(task);
        }
        task
    }

    /// How many tasks it goes on for.
    fn passed_on(&self, task: TaskId) -> usize {
        let oracle = self.world.oracle();
        let before = |task: &TaskId| oracle.tasks.get(task).and_then(|told| told.task.spec.continues);
        std::iter::successors(before(&task), before).count()
    }

    /// Looks after a task until it, and those that go on for it, have ended; gives the last of them.
    async fn look_after(&mut self, first: TaskId) -> Option<TaskId> {
        let (mut task, mut program) = (first, self.program.clone());
        // The key may have been passed on before its first owner's submit was answered.
        for _ in 0..self.passed_on(first) {
            program = program.then.take().map_or(program, |then| *then);
        }
        loop {
            let ended = self.until_its_end(task, &program).await?;
            self.ends_as_written(&ended, &program);
            let Some(next) = ended.task().continued_as else {
                self.program = program;
                return Some(task);
            };
            self.say(format_args!("{next} goes on for {task}"));
            self.world.known.lock().unwrap().push(next);
            program = match program.then.take() {
                Some(then) => *then,
                None => {
                    self.rule("a task ends as its program says", Err(format!("{task} goes on as {next}")));
                    return None;
                }
            };
            task = next;
        }
    }

    async fn until_its_end(&mut self, task: TaskId, program: &Program) -> Option<Shown> {
        loop {
            let wait = self.dice.within(Duration::from_secs(20));
            let (world, name) = (self.world.clone(), self.name.clone());
            let shown = self
                .ask(move |server: Arc<Server>| -> BoxFuture<'static, _> {
                    let (world, name) = (world.clone(), name.clone());
                    Box::pin(async move {
                        let shown = server.control.wait(&Caller::local(true), task, wait).await?;
                        if !shown.task().state.is_terminal() {
                            world.oracle().goes_on(&name, task);
                        }
                        Ok(shown)
                    })
                })
                .await;
            let shown = match shown {
                Ok(shown) => shown,
                Err(refusal) => {
                    self.unexplained("a look at a task", &refusal);
                    return None;
                }
            };
            self.acknowledged("looks", &shown);
            if shown.task().state.is_terminal() {
                return Some(shown);
            }
            self.act(&shown, program).await;
            tokio::time::sleep(self.dice.within(Duration::from_secs(5))).await;
        }
    }

    fn ends_as_written(&self, ended: &Shown, program: &Program) {
        let task = ended.task();
        let end = ended.end.clone().unwrap_or_default();
        let tries = task.spec.policy.retry.max_tries;
        let code = end.error.as_ref().map_or("", |error| error.code.as_str());
        let in_doubt = program.gives_up_in_doubt() || self.gave_up;
        let fine = match task.state {
            State::Completed if program.then.is_some() => task.continued_as.is_some(),
            State::Completed => {
                end.result.as_ref() == Some(&program.result()) && (!program.fails(tries) || self.happened)
            }
            State::Cancelled => self.cancelled,
            State::Failed => match code {
                "sim_failure" => program.fails(tries),
                "deadline" => task.spec.policy.deadline.is_some(),
                "timeout" => task.spec.policy.timeout_ms.is_some(),
                "poisoned" => task.lost_total >= 5,
                "outcome_unknown" => in_doubt,
                "dependency_failed" => !task.spec.depends_on.is_empty(),
                _ => false,
            },
            _ => false,
        };
        let verdict = if fine {
            Ok(())
        } else {
            let story = self.world.oracle().story(task.id);
            Err(format!(
                "{} ended as {} with {end:?}; its program is {program:?}\n{story}",
                task.id, task.state
            ))
        };
        self.rule("a task ends as its program says", verdict);
        self.world.count(match task.state {
            State::Completed => "tasks completed",
            State::Failed => "tasks failed",
            _ => "tasks cancelled",
        });
    }
}
