//! A control over a database in memory, and a worker that follows a script: for the tests of the faces.
//!
//! The script is the input of a task of kind `mock`; every part is optional:
//! `{"steps": [{"name", "events", "result"}], "frames": n, "hold": bool, "wait_for_input": name, "wait_for_inputs": [name],
//! "timer_ms": n, "ask": prompt, "fail": error, "logs": [line], "result"}`. A task that holds does nothing until it is told to pause or to give up.

use crate::control::{Control, Options, Parts};
use everloop_engine::engine::{self, Engine, Threads};
use everloop_engine::housekeep::Retention;
use everloop_engine::source::EngineSource;
use everloop_journal::digest;
use everloop_journal::keys::SigningKey;
use everloop_store::memory::MemoryStore;
use everloop_store::rows::Installation;
use everloop_types::error::{Refusal, TaskError};
use everloop_types::event::{
    ApprovalRequested, EventBody, InputTaken, Level, Log, StepCompleted, StepFailed,
};
use everloop_types::id::{InstallationId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::random::Random;
use everloop_types::task::PauseReason;
use everloop_types::time::{Clock, Timestamp};
use everloop_types::wait::Wait;
use everloop_types::worker::{KindOffer, WorkerSpec};
use everloop_worker::executor::Registry;
use everloop_worker::source::{Assignment, AttemptEnd, Frame, Signal, SourceError, WorkSource};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The database in memory.
pub use everloop_store::memory::{Fault, MemoryStore as Store};

/// A control and what it stands on.
pub struct Bench {
    /// The control.
    pub control: Control,
    /// The database, and the hand that makes it fail.
    pub store: MemoryStore,
    engine: Arc<Engine>,
    /// The engine's threads; they end when everything else is gone.
    pub threads: Threads,
}

/// A database of its own, with nothing in it.
pub fn empty_store(now: Timestamp) -> Store {
    MemoryStore::new(Installation { id: InstallationId([8; 16]), epoch: 0, created_at: now })
}

/// How long events of finished tasks are kept here.
pub const EVENTS_KEPT: Duration = Duration::from_secs(20 * 24 * 3600);

impl Bench {
    /// A new database with a control over it.
    ///
    /// # Errors
    /// If the database in memory fails, which it does only when told to.
    pub async fn start(
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
    ) -> Result<Self, Refusal> {
        let store =
            MemoryStore::new(Installation { id: InstallationId([7; 16]), epoch: 0, created_at: clock.now() });
        let (engine, threads) = Engine::start(engine::Parts {
            writer: Box::new(store.writer()),
            reader: store.reader(),
            clock,
            random,
            key: Arc::new(SigningKey::from_seed(&[9; 32])),
            digest_every: limits::DIGEST_EVERY,
            blobs: store.blob(),
            reserve: None,
            retention: Retention { events: Some(EVENTS_KEPT), ..Retention::default() },
        })
        .map_err(|error| error.refusal())?;
        let parts = Parts { engine: engine.clone(), executors: Registry::default(), options };
        Ok(Self { control: Control::open(parts).await?, store, engine, threads })
    }

    /// A worker in this process, for tasks of kind `mock`. It works as long as its future is polled.
    pub fn worker(&self) -> ScriptedWorker {
        ScriptedWorker {
            source: EngineSource::embedded(self.engine.clone()),
            engine: self.engine.clone(),
            held: HashMap::new(),
        }
    }
}

/// SHA-256, for hashes of keys.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::sha256(bytes)
}

/// Verifies an export offline against a JWKS: `verified`, `unsigned` or `signer unknown`.
///
/// # Errors
/// What does not fit together.
pub fn verify(export: &str, jwks: &str) -> Result<String, String> {
    use everloop_journal::export::{Verdict, verify_text};
    let keys = everloop_journal::keys::Jwks::from_json(jwks).map_err(|error| error.to_string())?;
    let report = verify_text(export, Some(&keys)).map_err(|error| error.to_string())?;
    Ok(match report.verdict {
        Verdict::Verified { .. } => "verified",
        Verdict::ConsistentUnsigned => "unsigned",
        Verdict::ConsistentSignerUnknown { .. } => "signer unknown",
    }
    .to_owned())
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Script {
    steps: Vec<ScriptStep>,
    frames: u32,
    hold: bool,
    wait_for_input: Option<String>,
    /// All of these, and the result is what came.
    wait_for_inputs: Vec<String>,
    /// It waits for so long before it ends.
    timer_ms: u64,
    ask: Option<String>,
    fail: Option<TaskError>,
    logs: Vec<String>,
    result: Json,
}

#[derive(Deserialize)]
struct ScriptStep {
    name: String,
    #[serde(default)]
    events: u32,
    #[serde(default)]
    result: Json,
}

/// A worker that follows the scripts of its tasks.
pub struct ScriptedWorker {
    source: EngineSource,
    engine: Arc<Engine>,
    held: HashMap<everloop_types::id::TaskId, Assignment>,
}

impl ScriptedWorker {
    /// Works until the source refuses.
    ///
    /// # Errors
    /// What the source refuses.
    pub async fn work(mut self) -> Result<(), SourceError> {
        let spec = WorkerSpec {
            capabilities: Vec::new(),
            kinds: vec![KindOffer::new("mock")],
            max_concurrent_tasks: 64,
            name: "scripted".to_owned(),
            protocol: 1,
            queues: everloop_types::names::QUEUES.map(str::to_owned).to_vec(),
            version: "1".to_owned(),
        };
        let me = self.source.register(spec).await?;
        let mut request = 0;
        loop {
            request += 1;
            let long = Duration::from_secs(3600);
            tokio::select! {
                claimed = self.source.claim(me, 64, long, request) => {
                    for assignment in claimed? {
                        self.run(me, assignment).await?;
                    }
                }
                signals = self.source.signals(me, long) => {
                    for signal in signals? {
                        let Some(held) = self.held.remove(&signal.task) else { continue };
                        let reason = PauseReason { by: me.to_string(), details: None, reason: "requested".to_owned() };
                        let end = match signal.signal {
                            Signal::Pause => AttemptEnd::Paused { reason },
                            Signal::Cancel { .. } => AttemptEnd::Cancelled,
                            Signal::Resume | Signal::LeaseLost => continue,
                        };
                        self.write(me, &held, 2, Vec::new(), Some(end)).await?;
                    }
                }
            }
        }
    }

    async fn write(
        &self,
        me: WorkerId,
        of: &Assignment,
        batch: u32,
        events: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Result<(), SourceError> {
        match self.source.write(me, of.tenant, of.task, of.lease, batch, events, end).await {
            Err(error) if error.is_lease_lost() => Ok(()),
            other => other,
        }
    }

    async fn run(&mut self, me: WorkerId, assignment: Assignment) -> Result<(), SourceError> {
        let script: Script = match &assignment.spec.input {
            Some(input) => input.parse().unwrap_or_default(),
            None => Script::default(),
        };
        for i in 0..script.frames {
            let data = Json::from_canonical(i.to_string()).unwrap_or_default();
            let frame = Frame { kind: "token".to_owned(), data };
            self.source.frames(TenantId::DEFAULT, assignment.task, assignment.lease, vec![frame]).await?;
        }
        let mut events: Vec<EventBody> = Vec::new();
        let mut offset = 0;
        for line in &script.logs {
            let text = format!("{line}\n");
            let log = Log {
                base64: None,
                level: Level::Info,
                offset,
                source: "stdout".to_owned(),
                text: Some(text),
            };
            offset += line.len() as u64 + 1;
            events.push(log.into());
        }
        let recorded = |step: &str| {
            assignment
                .journal
                .iter()
                .any(|entry| matches!(&entry.body, EventBody::StepCompleted(done) if done.step == step))
        };
        for step in &script.steps {
            let key = format!("{}#1", step.name);
            if recorded(&key) {
                continue;
            }
            for i in 0..step.events {
                let data = Json::from_canonical(format!("{{\"i\":{i}}}")).unwrap_or_default();
                events.push(EventBody::Custom { name: "mock".to_owned(), data });
            }
            events.push(
                StepCompleted {
                    attempt: assignment.attempt,
                    code_version: None,
                    intent: digest::intent(&Json::null()),
                    kind: "mock".to_owned(),
                    result: step.result.clone(),
                    started_at: everloop_types::time::Timestamp::default(),
                    step: key,
                }
                .into(),
            );
        }
        let mut end = AttemptEnd::Completed { result: script.result };
        let arrived = |found: fn(&EventBody) -> Option<(String, Json)>| {
            assignment.journal.iter().find_map(|entry| found(&entry.body))
        };
        if let Some(name) = script.wait_for_input {
            let input = arrived(|body| match body {
                EventBody::Input(input) => Some((input.id.clone(), input.data.clone())),
                _ => None,
            });
            end = match input {
                Some((id, data)) => {
                    events.push(InputTaken { id, step: "input#1".to_owned() }.into());
                    AttemptEnd::Completed { result: data }
                }
                None => AttemptEnd::Waiting { wait: Wait::Input { id: "input#1".to_owned(), name } },
            };
        }
        if !script.wait_for_inputs.is_empty() {
            let mut came = std::collections::BTreeMap::new();
            for entry in &assignment.journal {
                if let EventBody::Input(input) = &entry.body {
                    came.insert(input.name.clone(), (input.id.clone(), input.data.clone()));
                }
            }
            let step = |name: &str| format!("input/{name}#1");
            end = if script.wait_for_inputs.iter().all(|name| came.contains_key(name)) {
                let taken =
                    came.iter().map(|(name, (id, _))| InputTaken { id: id.clone(), step: step(name) });
                events.extend(taken.map(EventBody::from));
                let data: std::collections::BTreeMap<_, _> =
                    came.into_iter().map(|(name, (_, data))| (name, data)).collect();
                let result = serde_json::to_string(&data).unwrap_or_default();
                AttemptEnd::Completed { result: Json::from_canonical(result).unwrap_or_default() }
            } else {
                let wait = |name: &String| Wait::Input { id: step(name), name: name.clone() };
                AttemptEnd::Waiting { wait: Wait::All(script.wait_for_inputs.iter().map(wait).collect()) }
            };
        }
        if script.timer_ms > 0 && assignment.attempt == 1 {
            let at = self.engine.now().plus(Duration::from_millis(script.timer_ms));
            end = AttemptEnd::Waiting { wait: Wait::Timer { at, id: "timer#1".to_owned() } };
        }
        if let Some(prompt) = script.ask {
            let id = "ask#1".to_owned();
            let decision = arrived(|body| match body {
                EventBody::ApprovalDecision(made) => Some((
                    made.id.clone(),
                    Json::from_canonical(format!("\"{}\"", made.decision)).unwrap_or_default(),
                )),
                _ => None,
            });
            end = match decision {
                Some((id, data)) => {
                    events.push(InputTaken { id: id.clone(), step: id }.into());
                    AttemptEnd::Completed { result: data }
                }
                None => {
                    let choices = vec!["yes".to_owned(), "no".to_owned()];
                    events.push(ApprovalRequested { choices, details: None, id: id.clone(), prompt }.into());
                    AttemptEnd::Waiting { wait: Wait::Decision { id } }
                }
            };
        }
        if let Some(error) = script.fail {
            events.push(
                StepFailed {
                    error: error.clone(),
                    intent: digest::intent(&Json::null()),
                    kind: "mock".to_owned(),
                    next_at: None,
                    step: "fail#1".to_owned(),
                    r#try: 1,
                }
                .into(),
            );
            end = AttemptEnd::Failed { error };
        }
        let end = if script.hold { None } else { Some(end) };
        let holds = end.is_none();
        self.write(me, &assignment, 1, events, end).await?;
        if holds {
            self.held.insert(assignment.task, assignment);
        }
        Ok(())
    }
}
