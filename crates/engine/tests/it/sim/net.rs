//! The network between the server and everybody else: it takes its time, loses requests and answers, delivers some twice,
//! and so changes their order.

use super::dice::Dice;
use super::machine::Machine;
use super::server::Server;
use super::world::World;
use everloop_types::blob::BlobName;
use everloop_types::event::EventBody;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::worker::WorkerSpec;
use everloop_worker::source::{Assignment, AttemptEnd, Frame, SourceError, Sourced, TaskSignal, WorkSource};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// No answer came: nobody knows whether it was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost(pub(crate) &'static str);

impl World {
    /// Asks the server that runs now, if one does.
    pub(crate) async fn call<R: Send + 'static>(
        &self,
        from: &Machine,
        dice: &Dice,
        ask: impl Fn(Arc<Server>) -> BoxFuture<'static, R>,
    ) -> Result<R, Lost> {
        let faults = &self.plan.faults;
        from.runs().await;
        self.travel(dice).await;
        let lost = |chance: u32| self.faulty() && (dice.per_mille(chance) || self.is_cut(&from.name));
        if lost(faults.request_lost) {
            self.fault("requests lost", &from.name);
            tokio::time::sleep(dice.within(Duration::from_secs(10))).await;
            return Err(Lost("the request was lost"));
        }
        let Some(server) = self.server() else {
            tokio::time::sleep(dice.within(Duration::from_secs(1))).await;
            return Err(Lost("there is no server"));
        };
        if self.faulty() && dice.per_mille(faults.doubled) {
            self.fault("requests that came twice", &from.name);
            let (again, life) = (ask(server.clone()), server.life.clone());
            let later = dice.within(faults.delay * 4 + Duration::from_millis(50));
            self.spawn(async move {
                tokio::time::sleep(later).await;
                let _ = life.through(again).await;
            });
        }
        let life = server.life.clone();
        let Some(answer) = life.through(ask(server)).await else {
            return Err(Lost("the connection broke"));
        };
        self.travel(dice).await;
        if lost(faults.answer_lost) {
            self.fault("answers lost", &from.name);
            tokio::time::sleep(dice.within(Duration::from_secs(10))).await;
            return Err(Lost("the answer was lost"));
        }
        from.runs().await;
        Ok(answer)
    }

    async fn travel(&self, dice: &Dice) {
        let mut way = Duration::from_millis(dice.below(2));
        if self.faulty() {
            let longest = self.plan.faults.delay;
            way += if dice.per_mille(10) { dice.within(longest * 10) } else { dice.within(longest) };
        }
        tokio::time::sleep(way).await;
    }
}

/// Where a worker elsewhere gets its work.
pub(crate) struct Remote {
    pub(crate) world: Arc<World>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) dice: Dice,
    /// As whom the server knows it.
    pub(crate) known_as: Mutex<Option<WorkerId>>,
}

impl Remote {
    fn known_as(&self) -> MutexGuard<'_, Option<WorkerId>> {
        self.known_as.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says goodbye. If nobody hears it, what it held waits for the end of its leases.
    pub(crate) async fn leave(&self) {
        let Some(worker) = self.known_as().take() else { return };
        for _ in 0..3 {
            let goodbye = self.ask(move |server| {
                Box::pin(async move { server.remote.remove(worker).await.map_err(SourceError::Refused) })
            });
            if goodbye.await.is_ok() {
                return;
            }
        }
    }

    fn ask<R: Send + 'static>(
        &self,
        ask: impl Fn(Arc<Server>) -> BoxFuture<'static, Result<R, SourceError>> + Send + Sync + 'static,
    ) -> Sourced<'_, R> {
        Box::pin(async move {
            match self.world.call(&self.machine, &self.dice, ask).await {
                Ok(answer) => answer,
                Err(Lost(why)) => Err(SourceError::Unavailable(why.to_owned())),
            }
        })
    }
}

impl WorkSource for Remote {
    fn register(&self, spec: WorkerSpec) -> Sourced<'_, WorkerId> {
        Box::pin(async move {
            let register = self.ask(move |server| {
                let spec = spec.clone();
                Box::pin(async move { server.remote.register(spec).await })
            });
            let worker = register.await?;
            *self.known_as() = Some(worker);
            Ok(worker)
        })
    }

    fn heartbeat(&self, worker: WorkerId, trouble: Option<String>) -> Sourced<'_, ()> {
        self.ask(move |server| {
            let trouble = trouble.clone();
            Box::pin(async move { server.remote.heartbeat(worker, trouble).await })
        })
    }

    fn claim(
        &self,
        worker: WorkerId,
        max: u32,
        wait: Duration,
        request: u64,
    ) -> Sourced<'_, Vec<Assignment>> {
        let (world, name) = (self.world.clone(), self.machine.name.clone());
        self.ask(move |server| {
            let (world, name) = (world.clone(), name.clone());
            Box::pin(async move {
                let claimed = server.remote.claim(worker, max, wait, request).await;
                for assignment in claimed.iter().flatten() {
                    let (task, attempt) = (assignment.task, assignment.attempt);
                    world.say(&name, format_args!("is given {task} attempt {attempt} by request {request}"));
                }
                claimed
            })
        })
    }

    fn renew(&self, worker: WorkerId, leases: Vec<(TaskId, LeaseToken)>) -> Sourced<'_, Vec<TaskId>> {
        self.ask(move |server| {
            let leases = leases.clone();
            Box::pin(async move { server.remote.renew(worker, leases).await })
        })
    }

    fn signals(&self, worker: WorkerId, wait: Duration) -> Sourced<'_, Vec<TaskSignal>> {
        self.ask(move |server| Box::pin(async move { server.remote.signals(worker, wait).await }))
    }

    fn write(
        &self,
        worker: WorkerId,
        tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
        batch: u32,
        events: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Sourced<'_, ()> {
        let (world, name) = (self.world.clone(), self.machine.name.clone());
        self.ask(move |server| {
            let (world, name, events, end) = (world.clone(), name.clone(), events.clone(), end.clone());
            Box::pin(async move {
                let written = server
                    .remote
                    .write(worker, tenant, task, lease, batch, events.clone(), end.clone())
                    .await;
                let attempt = lease.attempt;
                world.say(
                    &name,
                    format_args!("writes for {task} attempt {attempt} batch {batch}: {written:?}"),
                );
                if written.is_ok() && server.life.alive() {
                    world.oracle().written(task, lease, &events, end.as_ref());
                }
                written
            })
        })
    }

    fn blob(&self, tenant: TenantId, id: String) -> Sourced<'_, Option<Vec<u8>>> {
        self.ask(move |server| {
            let id = id.clone();
            Box::pin(async move { server.remote.blob(tenant, id).await })
        })
    }

    fn put_blob(&self, tenant: TenantId, media_type: String, bytes: Vec<u8>) -> Sourced<'_, BlobName> {
        self.ask(move |server| {
            let (media_type, bytes) = (media_type.clone(), bytes.clone());
            Box::pin(async move { server.remote.put_blob(tenant, media_type, bytes).await })
        })
    }

    fn frames(
        &self,
        tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
        frames: Vec<Frame>,
    ) -> Sourced<'_, ()> {
        self.ask(move |server| {
            let frames = frames.clone();
            Box::pin(async move { server.remote.frames(tenant, task, lease, frames).await })
        })
    }
}
