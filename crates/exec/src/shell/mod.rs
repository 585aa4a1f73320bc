//! The kind `shell`: one command, in one step.
//!
//! Input: `{argv: […]}` or `{script, shell?}`, with `cwd?`, `env?`, `stdin?`. What the command writes reaches the stream in `log`
//! events of the sources `stdout` and `stderr`; the result is `{exit_code, stdout_bytes, stderr_bytes, duration_ms,
//! truncated?}`. The command is held by a [guard], a process that ends with all that came of it.

mod folder;
pub mod guard;
mod input;
mod process;
mod run;
mod wire;

pub use folder::{Reaped, reap_leftovers};
pub use wire::GUARD_ARG;

pub(crate) use folder::Folder;
pub(crate) use input::environment;
pub(crate) use process::signal_name;
pub(crate) use run::start_guard;
pub(crate) use wire::{Order, Report, Request, Stdin, line};

use crate::http::input::refused;
use crate::refusal;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::json::Json;
use everloop_types::step::OnUnknown;
use everloop_types::task::TaskSpec;
use everloop_types::worker::KindOffer;
use everloop_worker::context::Context;
use everloop_worker::executor::{Executor, Stop};
use futures_util::future::BoxFuture;
use input::Command;
use std::path::{Path, PathBuf};

/// Why commands are refused where they are not allowed.
const NOT_ALLOWED: &str = "commands are not granted here: they run without a sandbox, so only in dev mode for callers with the \
                           local key, or where the server was started with --unsafe-no-sandbox";

/// How commands are run.
#[derive(Clone, Debug)]
pub struct ShellOptions {
    /// Where attempts get their folders. One server or worker owns it alone.
    pub workspace_root: PathBuf,
    /// Whether commands may run at all: nothing but their own user holds them yet.
    pub allowed: bool,
    /// The program that becomes a guard when it is started with [`GUARD_ARG`].
    pub guard: PathBuf,
}

impl ShellOptions {
    /// Commands are refused until `allowed` is set; the guard is this program.
    ///
    /// # Errors
    /// If the program can't say where it lies.
    pub fn new(workspace_root: impl Into<PathBuf>) -> std::io::Result<Self> {
        // The link leads to the running program even when its file was replaced by another version.
        let link = Path::new("/proc/self/exe");
        let guard = if link.exists() { link.to_owned() } else { std::env::current_exe()? };
        Ok(Self { workspace_root: workspace_root.into(), allowed: false, guard })
    }
}

/// Runs commands.
#[derive(Clone, Debug)]
pub struct Shell {
    options: ShellOptions,
}

impl Shell {
    /// One with these options.
    pub fn new(options: ShellOptions) -> Self {
        Self { options }
    }
}

impl Executor for Shell {
    fn offer(&self) -> KindOffer {
        crate::offer::<input::Input>("shell")
    }

    fn about(&self) -> &str {
        "runs one command with the server's own rights: no sandbox holds it yet, so only where it is allowed"
    }

    fn check(&self, spec: &TaskSpec) -> Result<(), Refusal> {
        if !self.options.allowed {
            return Err(Refusal::new(Code::NotGranted, NOT_ALLOWED));
        }
        Command::read(spec).map(|_| ()).map_err(refusal)
    }

    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        Box::pin(self.attempt(context))
    }
}

impl Shell {
    async fn attempt(&self, context: Context) -> Result<Json, Stop> {
        if !self.options.allowed {
            return Err(Stop::Failed(TaskError::new(Code::NotGranted, NOT_ALLOWED)));
        }
        let command = Command::read(&context.assignment().spec).map_err(refused)?;
        let step = context.step("command").kind("shell").on_unknown(OnUnknown::Ask).args(&context.input());
        let done = step.run(Box::pin(run::run(&context, &self.options, &command))).await;
        // Whatever a command makes of being stopped: that is why it has ended.
        if context.control().is_stop() {
            context.boundary()?;
        }
        done
    }
}
