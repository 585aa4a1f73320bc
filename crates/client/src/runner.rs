//! Running functions: one as a durable task from a program without a server of its own, or many as a worker.

use crate::discover::{Surroundings, discover, state_folder};
use crate::embedded::StartError;
use crate::error::ClientError;
use crate::function::Task;
use crate::host::SystemClock;
use crate::local::{note_worker, options, remove_dead_workers};
use crate::project::data_folder;
use crate::server::Server;
use crate::work::HttpSource;
use crate::{Client, ClientOptions};
use everloop_api::task::{TaskRequest, TaskView};
use everloop_types::error::{Code, TaskError};
use everloop_types::id::TaskId;
use everloop_types::retry::RetryPolicy;
use everloop_types::state::State;
use everloop_types::task::PauseReason;
use everloop_worker::executor::Registry;
use everloop_worker::run::{Options, Worker};
use everloop_worker::source::SourceError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long running tasks may go on when a program ends.
const DRAIN: Duration = Duration::from_secs(1);
/// How often is looked whether a task stands still.
const LOOK: Duration = Duration::from_secs(2);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The task has failed, or was cancelled. It raises this again until it is retried.
    #[error("{task} failed: {error}")]
    Failed {
        /// The task.
        task: TaskId,
        /// What it ended with.
        error: TaskError,
    },
    /// The code does not follow what is recorded. Run the task with the code that it was begun with, fork it, or cancel it.
    #[error("{task} stands still: the code does not follow what is recorded: {}", .reason.details.as_ref().map_or("", |it| it.as_str()))]
    Mismatch {
        /// The task.
        task: TaskId,
        /// Both sides.
        reason: PauseReason,
    },
    /// There is no server, and none could be started.
    #[error("no server could be started")]
    NoServer(#[from] StartError),
    /// The server refused something, or can't be reached.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server does not take this worker.
    #[error("the server does not take this worker: {0}")]
    Refused(SourceError),
    /// The process has no working folder, or may not write into the data folder.
    #[error("the data folder can't be used")]
    Folder(#[from] std::io::Error),
}

/// How one task is run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The caller's own name for the task: with the same one it goes on where it was, or gives the stored result. Without one,
    /// every call is a task of its own.
    pub key: Option<String>,
    /// Does a task that has failed again, from what was recorded.
    pub retry_failed: bool,
}

/// Runs a function as a durable task, from a program without a server of its own: its result, or the error that it ended with.
///
/// With the same key it goes on where it was, or gives the stored result. A task that has failed gives its error again; see
/// [`RunOptions::retry_failed`]. A [`Runner`] runs several, and those that start others.
///
/// With `EVERLOOP_URL` (and `EVERLOOP_API_KEY`) the server there is used. Else the one of the project's data folder:
/// `EVERLOOP_DATA_DIR`, or `.everloop` in the nearest folder, upwards from the working folder, that has an `.everloop`, a
/// `Cargo.toml` or a `.git`. It is started where it doesn't run, and stopped when this returns.
///
/// # Errors
/// See [`RunError`].
pub async fn run<I, O>(task: &Task<I, O>, input: I, key: &str) -> Result<O, RunError>
where
    I: Serialize + 'static,
    O: DeserializeOwned + 'static,
{
    let runner = Runner::start(Registry::default().with(Arc::new(task.clone())), None).await?;
    let options = RunOptions { key: Some(key.to_owned()), ..RunOptions::default() };
    let ended = runner.run(task, &input, options).await;
    runner.stop().await;
    ended
}

/// Serves tasks of these kinds until Ctrl-C or SIGTERM. The server is that of `EVERLOOP_URL`, else the one that runs here; the
/// API key that of `EVERLOOP_API_KEY`. Running tasks may come to their next step then, and are given back.
///
/// # Errors
/// If the server refuses the worker.
pub async fn worker(registry: Registry, options: Options) -> Result<(), RunError> {
    let client = Client::new(found())?;
    let mut working = Working::begin(client, registry, options, None);
    let ended = tokio::select! {
        biased;
        refused = working.refused() => Err(refused),
        () = told_to_stop() => Ok(()),
    };
    working.stop().await;
    ended
}

/// Where a server is looked for that this process does not start.
fn found() -> ClientOptions {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let found = discover(&Surroundings {
        url: variable("EVERLOOP_URL"),
        api_key: variable("EVERLOOP_API_KEY"),
        folder: data_folder().unwrap_or_default(),
        only_here: false,
        state: state_folder(variable),
    });
    let options = options(&found.url);
    // Some half a minute: a server that is restarted is there again by then.
    let retry = RetryPolicy { max_tries: 20, ..options.retry.clone() };
    ClientOptions { api_key: found.api_key, retry, ..options }
}

async fn told_to_stop() {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        // Ctrl-C has to do.
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// The worker and the server of this process.
pub struct Runner {
    server: Server,
    working: Working,
}

impl Runner {
    /// Lets a worker of this process run these kinds, for the server of `EVERLOOP_URL`, else for that of a data folder: this one,
    /// or the project's, as [`run`] finds it.
    ///
    /// # Errors
    /// If there is no server and none can be started, or if it does not take the worker.
    pub async fn start(registry: Registry, folder: Option<PathBuf>) -> Result<Self, RunError> {
        let is_remote = std::env::var_os("EVERLOOP_URL").is_some_and(|url| !url.is_empty());
        let (server, folder) = if is_remote && folder.is_none() {
            let client = Client::new(found())?;
            // Says at once whether there is a server that lets us in.
            client.about().await?;
            (Server::remote(client), None)
        } else {
            let folder = folder.map_or_else(data_folder, Ok)?;
            let server = Server::local(folder.clone()).await?;
            server.patiently(|| remove_dead_workers(&folder, &server.client)).await?;
            (server, Some(folder))
        };
        let options = Options { name: own_name(), drain: DRAIN, ..Options::default() };
        let working = Working::begin(server.client.clone(), registry, options, folder);
        let mut runner = Self { server, working };
        match runner.working.registered().await {
            Ok(()) => Ok(runner),
            Err(error) => {
                runner.stop().await;
                Err(error)
            }
        }
    }

    /// A client of the server.
    pub fn client(&self) -> &Client {
        &self.server.client
    }

    /// Runs a function as a durable task: its result, or the error that it ended with.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run<I, O>(&self, task: &Task<I, O>, input: &I, options: RunOptions) -> Result<O, RunError>
    where
        I: Serialize,
        O: DeserializeOwned,
    {
        let (server, client) = (&self.server, &self.server.client);
        let request = TaskRequest { key: options.key, ..task.request(input)? };
        let request_key = client.request_key();
        let mut view = server.patiently(|| self.submitted(&request, &request_key)).await?;
        if options.retry_failed && view.state == State::Failed {
            let (failed, key) = (view.id.to_string(), format!("retry-{}", view.id));
            view = server.patiently(|| client.redrive_as(&failed, &key)).await?;
        }
        let mut is_new = true;
        loop {
            let id = view.id.to_string();
            if let Some(reason) = view.paused.take_if(|reason| reason.reason == Code::Nondeterminism.as_str())
            {
                if !is_new {
                    return Err(RunError::Mismatch { task: view.id, reason });
                }
                // The code may follow by now.
                server.patiently(|| client.resume(&id)).await?;
            }
            is_new = false;
            view = server.patiently(|| client.task(&id, Some(LOOK))).await?;
            if !view.state.is_terminal() {
                continue;
            }
            let output = server.patiently(|| client.output(&id)).await?;
            if let Some(next) = output.continued_as {
                let next = next.to_string();
                view = server.patiently(|| client.task(&next, None)).await?;
                continue;
            }
            if let Some(value) = server.patiently(|| client.read_result(&id, output.result.clone())).await? {
                return Ok(value);
            }
            let cancelled = || TaskError::new(Code::Cancelled, "the task was cancelled");
            return Err(RunError::Failed { task: view.id, error: output.error.unwrap_or_else(cancelled) });
        }
    }

    async fn submitted(&self, request: &TaskRequest, request_key: &str) -> Result<TaskView, ClientError> {
        match (self.server.client.submit_as(request, None, request_key).await, &request.key) {
            (Err(error), Some(key)) if error.code() == Some(Code::IdempotencyConflict) => {
                // A redrive has the key of the task that failed, and a request of its own.
                let view = self.server.client.task(&format!("key:{key}"), None).await?;
                let is_same = view.kind == request.kind && view.input == request.input;
                if view.forked_from.is_some() && is_same { Ok(view) } else { Err(error) }
            }
            (submitted, _) => Ok(submitted?.task),
        }
    }

    /// Gives back what runs, and stops the server if it is ours.
    pub async fn stop(self) {
        self.working.stop().await;
        self.server.stop().await;
    }
}

/// The name of this program, for people.
fn own_name() -> String {
    let own = std::env::current_exe().ok();
    let name = own.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "worker".to_owned())
}

/// A worker that runs beside the caller.
struct Working {
    client: Client,
    source: Arc<HttpSource>,
    stop: watch::Sender<bool>,
    running: JoinHandle<Result<(), SourceError>>,
    folder: Option<PathBuf>,
}

impl Working {
    fn begin(client: Client, registry: Registry, options: Options, folder: Option<PathBuf>) -> Self {
        let mut source = HttpSource::new(client.clone());
        if let Some(folder) = folder.clone() {
            source = source.on_registered(move |worker| {
                if let Err(error) = note_worker(&folder, worker) {
                    tracing::warn!(%error, "it could not be noted which process a worker lives in");
                }
            });
        }
        let source = Arc::new(source);
        let (stop, stopped) = watch::channel(false);
        let worker =
            Worker { source: source.clone(), registry, clock: Arc::new(SystemClock::start()), options };
        #[expect(clippy::disallowed_methods, reason = "the worker runs beside the caller")]
        let running = tokio::spawn(worker.run(stopped));
        Self { client, source, stop, running, folder }
    }

    /// Waits until the server has taken the worker.
    async fn registered(&mut self) -> Result<(), RunError> {
        let mut registered = self.source.registered();
        tokio::select! {
            biased;
            refused = self.refused() => Err(refused),
            // The sender lives as long as this.
            _ = registered.wait_for(Option::is_some) => Ok(()),
        }
    }

    /// Waits until the worker has ended by itself.
    async fn refused(&mut self) -> RunError {
        match (&mut self.running).await {
            Ok(Err(error)) => RunError::Refused(error),
            Ok(Ok(())) => RunError::Refused(SourceError::Unavailable("the worker has stopped".to_owned())),
            Err(error) => RunError::Refused(SourceError::Unavailable(error.to_string())),
        }
    }

    /// Lets running tasks come to their next step, gives them back, and says goodbye.
    async fn stop(mut self) {
        self.stop.send_replace(true);
        if !self.running.is_finished() {
            // How it ends makes no difference any more.
            let _ = (&mut self.running).await;
        }
        let worker = *self.source.registered().borrow();
        if let Some(worker) = worker {
            // The server would find out by itself, later.
            let _ = self.client.worker_delete(&worker.to_string()).await;
            if let Some(folder) = &self.folder {
                let _ = std::fs::remove_file(folder.join(format!("workers/{worker}.json")));
            }
        }
    }
}
