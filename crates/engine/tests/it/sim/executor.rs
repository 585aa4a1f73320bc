//! Runs the programs of the simulation's tasks.

use super::dice::Dice;
use super::machine::Machine;
use super::net::Lost;
use super::oracle::Effect;
use super::program::{KIND, Op, Program};
use super::server::Life;
use super::world::World;
use everloop_control::Caller;
use everloop_control::submit::NewTask;
use everloop_types::error::{Class, Code, Refusal, TaskError};
use everloop_types::event::Level;
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::step::{OnUnknown, step_key};
use everloop_types::task::{ChildPolicy, Parent, Progress, TaskSpec};
use everloop_types::worker::KindOffer;
use everloop_worker::context::Context;
use everloop_worker::executor::{Executor, Stop};
use futures_util::future::{BoxFuture, join_all};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) struct Sim {
    pub(crate) world: Arc<World>,
    pub(crate) machine: Arc<Machine>,
    /// The server that it lives in, if it does.
    pub(crate) life: Option<Arc<Life>>,
    pub(crate) dice: Dice,
}

impl Executor for Sim {
    fn offer(&self) -> KindOffer {
        KindOffer::new(KIND)
    }

    fn about(&self) -> &str {
        "runs a program of the simulation"
    }

    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        Box::pin(async move {
            let program: Program = context.input_as()?;
            for op in &program.ops {
                self.op(&context, "", op).await?;
            }
            match &program.then {
                Some(next) => Err(Stop::ContinueAs(next.json())),
                None => Ok(program.result()),
            }
        })
    }
}

impl Sim {
    /// Waits until this machine runs. One that is dead never does.
    async fn runs(&self) {
        self.machine.runs().await;
        if self.life.as_ref().is_some_and(|life| !life.alive()) {
            std::future::pending::<()>().await;
        }
    }

    fn op<'a>(&'a self, context: &'a Context, scope: &'a str, op: &'a Op) -> BoxFuture<'a, Result<(), Stop>> {
        Box::pin(async move {
            match op {
                Op::Step { .. } => self.step(context, scope, op).await,
                Op::Caught { name, ms } => self.caught(context, scope, name, *ms).await,
                Op::Sleep { name, ms } => context.sleep(name, Duration::from_millis(*ms)).await,
                Op::Input { name, word } => {
                    let got: String = context.wait_input(name).await?.parse()?;
                    self.same(word, &got);
                    Ok(())
                }
                Op::Ask { name } => {
                    let (decision, _) = context.ask(name, "which?", &["yes", "no"], None).await?;
                    self.same("yes", &decision);
                    Ok(())
                }
                Op::Parallel { branches } => {
                    let branches = branches.iter().enumerate().map(|(i, ops)| async move {
                        let scope = format!("parallel[{i}]");
                        let context = context.scope(&scope);
                        for op in ops {
                            self.op(&context, &scope, op).await?;
                        }
                        Ok(())
                    });
                    join_all(branches).await.into_iter().collect()
                }
                Op::Race { name, branches } => self.race(context, name, branches).await,
                Op::Version { name } => {
                    let version = context.version(name, 1, 3)?;
                    self.same("3", &version.to_string());
                    Ok(())
                }
                Op::Child { name, leave, program } => self.child(context, name, *leave, program).await,
                Op::Talk { name, events } => {
                    for n in 0..*events {
                        context.custom("talk", &(name, n))?;
                        context.progress(Progress { done: Some(n.into()), ..Progress::default() });
                        context.log(Level::Info, format!("{name} {n}\n"));
                        if n % 7 == 6 {
                            tokio::time::sleep(Duration::from_millis(15)).await;
                        }
                    }
                    Ok(())
                }
            }
        })
    }

    fn same(&self, expected: &str, got: &str) {
        let verdict =
            if expected == got { Ok(()) } else { Err(format!("{got:?} came where {expected:?} was sent")) };
        self.world.rule("a task is given what it was sent", verdict);
    }

    async fn step(&self, context: &Context, scope: &str, op: &Op) -> Result<(), Stop> {
        let Op::Step { name, ms, fails, fatal, on_unknown } = op else { return Ok(()) };
        let tries = context.assignment().tries;
        let step = context.step(name).args(&(name, ms)).on_unknown(*on_unknown);
        let act = self.act(context, step_key(scope, name, 1), step.idempotency_key(), *on_unknown, *ms);
        let acts = async {
            act.await;
            if tries < *fails {
                let class = if *fatal { Class::Validation } else { Class::Transient };
                let message = format!("{name} fails in try {}", tries + 1);
                return Err(TaskError { class, code: "sim_failure".to_owned(), details: None, message });
            }
            Ok(name.clone())
        };
        let done = or_stopped(context, step.run(acts)).await?;
        self.same(name, &done);
        Ok(())
    }

    async fn caught(&self, context: &Context, scope: &str, name: &str, ms: u64) -> Result<(), Stop> {
        let step = context.step(name).args(&(name, ms));
        let act = self.act(context, step_key(scope, name, 1), step.idempotency_key(), OnUnknown::Rerun, ms);
        let acts = async {
            act.await;
            Err::<(), _>(TaskError::transient("sim_caught", name.to_owned()))
        };
        match or_stopped(context, step.run(acts)).await {
            // Not what came of a time that was up.
            Err(Stop::Failed(error)) if error.code == "sim_caught" => {
                self.same(name, &error.message);
                Ok(())
            }
            other => other,
        }
    }

    /// Acts on the world, in the middle of this time.
    async fn act(
        &self,
        context: &Context,
        key: String,
        idempotency_key: String,
        on_unknown: OnUnknown,
        ms: u64,
    ) {
        let (task, attempt) = (context.assignment().task, context.assignment().attempt);
        let began = Instant::now();
        self.runs().await;
        tokio::time::sleep(Duration::from_millis(ms / 2)).await;
        self.runs().await;
        self.world.say(&self.machine.name, format_args!("{task} attempt {attempt} does {key}"));
        self.world.oracle().acts(Effect {
            task,
            step: key,
            attempt,
            idempotency_key,
            on_unknown,
            machine: self.machine.name.clone(),
            froze: self.machine.is_out_of_time(began),
        });
        tokio::time::sleep(Duration::from_millis(ms - ms / 2)).await;
        self.runs().await;
    }

    async fn race(&self, context: &Context, name: &str, branches: &[Vec<Op>]) -> Result<(), Stop> {
        let mut race = context.race(name);
        for (n, ops) in branches.iter().enumerate() {
            let scope = format!("{}[{n}]", step_key("", name, 1));
            race = race.branch(async move |context| {
                for op in ops {
                    self.op(&context, &scope, op).await?;
                }
                Ok(())
            });
        }
        let (winner, ()) = race.run().await?;
        self.world.oracle().won(context.assignment().task, name, winner);
        Ok(())
    }

    /// Asks the server as any client would.
    async fn ask<R: Send + 'static>(
        &self,
        what: impl Fn(Arc<super::server::Server>) -> BoxFuture<'static, Result<R, Refusal>>,
    ) -> Result<R, Refusal> {
        loop {
            match self.world.call(&self.machine, &self.dice, &what).await {
                Ok(Err(refusal)) if is_passing(&refusal) => {}
                Ok(answer) => return answer,
                Err(Lost(_)) => {}
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.runs().await;
        }
    }

    async fn child(&self, context: &Context, name: &str, leave: bool, program: &Program) -> Result<(), Stop> {
        let parent = context.assignment().task;
        let key = format!("{parent}/{name}");
        let mut spec = TaskSpec::new(KIND);
        spec.key = Some(key.clone());
        spec.input = Some(program.json());
        spec.parent = Some(Parent { task: parent, step: Some(step_key("", name, 1)) });
        spec.policy.children = if leave { ChildPolicy::Leave } else { ChildPolicy::Cancel };
        let submit = async {
            let new = NewTask {
                spec,
                data_subject: None,
                request: Some(program.json()),
                header_key: None,
                trace: None,
            };
            let submit = |server: Arc<super::server::Server>| -> BoxFuture<'static, _> {
                let new = new.clone();
                Box::pin(async move { server.control.submit(&Caller::local(true), new, None).await })
            };
            match self.ask(submit).await {
                Ok(submitted) => {
                    let task = submitted.task.task().id;
                    let stored = self.world.stored();
                    self.world.oracle().submitted(&*stored, &key, task, submitted.task.head());
                    Ok(task.to_string())
                }
                Err(refusal) => Err(TaskError::new(Code::InvalidRequest, refusal.detail)),
            }
        };
        let child: String = context.step(name).kind("spawn").run(submit).await?;
        let Ok(child) = child.parse::<TaskId>() else { return Ok(()) };
        let ended = context.wait_child(&format!("{name}-end"), child).await?;
        self.world.oracle().child_ended(child, ended);
        Ok(())
    }
}

/// What a step comes to, unless the task shall stop before.
async fn or_stopped<T>(context: &Context, step: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    tokio::select! {
        biased;
        done = step => done,
        _ = context.stopped() => {
            context.boundary()?;
            Err(Stop::LeaseLost)
        }
    }
}

/// Whether the same request may be answered otherwise later.
pub(crate) fn is_passing(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        // No worker that is known yet runs the kind.
        Code::UnknownKind
            | Code::Overloaded
            | Code::StorageFull
            | Code::StorageUnavailable
            | Code::ShuttingDown
    )
}
