//! The grammar of the command line. What the commands do stands in the files beside this one.

mod database;
mod mcp;
mod task;

pub(crate) use database::{BackupArgs, MigrateArgs, MigrateCommand, RestoreArgs};
pub(crate) use mcp::{InstallArgs, McpArgs, McpCommand};
pub(crate) use task::{
    DeadLettersCommand, DecideArgs, ExportArgs, FollowArgs, ForkArgs, GetArgs, InputArgs, ListArgs, LogsArgs,
    RedriveArgs, StartArgs, SteerArgs, TaskArgs, TaskCommand,
};

use super::duration;
use crate::config::Flags;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

/// Examples come first: they are what most people look for.
const TEMPLATE: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}\n";

const EXIT_CODES: &str = "Exit codes:
  0 done
  1 the task failed or was cancelled
  2 the command line or the configuration is wrong
  3 consistent, but unsigned or of an unknown signer
  4 verification failed
  5 the server or this machine refused
  6 no server can be reached
  `everloop run` exits with the code of its command, and with 125 where it could not run it.";

#[derive(Parser)]
#[command(
    name = "everloop",
    version,
    about = "Durable tasks: nothing is lost, nothing recorded is done twice, everything can be watched.",
    before_help = "Examples:\n  everloop dev                       start a server here\n  everloop run -- make test          run a command as a durable task\n  everloop task start mock           submit a task\n  everloop task follow task_…        watch one\n  everloop demo                      see what a crash does: nothing",
    after_help = EXIT_CODES,
    help_template = TEMPLATE,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args)]
pub(crate) struct Global {
    /// Answer as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Say nothing but the answer
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// The configuration file; ./everloop.toml where there is one
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// The server to talk to; the one that is found when not given
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub(crate) url: Option<String>,
    /// A file with the API key
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) api_key_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a server for yourself: one process, one file
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop dev\n  everloop dev --sample\n  everloop dev --listen 127.0.0.1:0 --data-dir /tmp/try")]
    Dev(DevArgs),
    /// Start a server that asks for an API key
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop serve --data-dir /var/lib/everloop --listen 0.0.0.0:7420\n  EVERLOOP_DATABASE_URL=postgres://… everloop serve --data-dir /var/lib/everloop")]
    Serve(ServeArgs),
    /// Run tasks for a server elsewhere
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop worker --url http://127.0.0.1:7420\n  everloop worker --queue high --queue default --slots 4")]
    Worker(WorkerArgs),
    /// Run a command as a durable task, and exit with its code
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop run -- make test\n  everloop run --key nightly-2026-01-31 --env DEPLOY_TARGET -- ./nightly.sh")]
    Run(RunArgs),
    /// Tasks: start, look at and steer them
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop task start mock --input '{\"steps\":[{\"name\":\"one\"}]}' --wait 30s\n  everloop task list --state failed\n  everloop task export task_… --output task.jsonl")]
    #[command(subcommand)]
    Task(TaskCommand),
    /// Tasks that failed and wait for somebody to look at them
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop dead-letters list\n  everloop dead-letters redrive task_…")]
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Give an agent's host the tools for tasks, over MCP
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop mcp install claude-code   tell a host of it\n  everloop mcp                       what the host then starts")]
    Mcp(McpArgs),
    /// Check an export or a receipt, without server and network
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop verify task.jsonl\n  everloop verify task.jsonl --key jwks.json")]
    Verify(VerifyArgs),
    /// See whether live tasks would go on under the code at hand
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop replay --check -- python worker.py\n  everloop replay --check --kind digest --json -- node worker.mjs")]
    Replay(ReplayArgs),
    /// Measure how fast a running server is, seen from here
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop bench\n  everloop bench --seconds 10 --concurrency 1,64 --url http://127.0.0.1:7420")]
    Bench(BenchArgs),
    /// Look for trouble; silent when all is well
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop doctor")]
    Doctor,
    /// The schema of the database: what is applied, what is missing
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop migrate status\n  everloop migrate up\n  everloop migrate down 1 --yes")]
    Migrate(MigrateArgs),
    /// Write everything into one file, beside a server that goes on
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop backup everloop.tar\n  everloop backup - --data-dir /var/lib/everloop | ssh elsewhere 'cat > everloop.tar'")]
    Backup(BackupArgs),
    /// Read a backup into an empty database, SQLite or PostgreSQL
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop restore everloop.tar --data-dir /var/lib/everloop\n  EVERLOOP_DATABASE_URL=postgres://… everloop restore everloop.tar --data-dir /var/lib/everloop")]
    Restore(RestoreArgs),
    /// The configuration
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop config show")]
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What an error code means, or which limits there are
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop explain lease_lost\n  everloop explain limits")]
    Explain(ExplainArgs),
    /// Completions for your shell
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop completions bash > ~/.local/share/bash-completion/completions/everloop")]
    Completions(CompletionsArgs),
    /// See a server killed in the middle of a task, and nothing lost
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  everloop demo\n  everloop demo --ui\n  everloop demo --seed 7")]
    Demo(DemoArgs),
}

/// What both kinds of server know.
#[derive(Args)]
pub(crate) struct ServerArgs {
    /// Where to keep files [default in dev mode: ./.everloop]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7420]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Another database: sqlite:FILE or postgres://HOST/NAME, without a password
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Tasks that the server runs itself at the same time; 0 for none [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<String>,
    /// How log lines are written: text or json
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Days for which finished tasks are kept [default: 30]
    #[arg(long, value_name = "DAYS")]
    pub(crate) retention_days: Option<String>,
    /// Days for which the events of finished tasks are kept, but for the last one [default: as long as the task]
    #[arg(long, value_name = "DAYS")]
    pub(crate) retention_event_days: Option<String>,
    /// Days for which what the logs of finished tasks say is kept [default: 14]
    #[arg(long, value_name = "DAYS")]
    pub(crate) retention_log_days: Option<String>,
    /// Events between two digests of a stream [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) digest_every: Option<String>,
    /// A file with the MCP servers that tasks may have started here, as hosts have it
    #[arg(long, value_name = "FILE")]
    pub(crate) mcp_servers: Option<String>,
    /// Serve no dashboard
    #[arg(long)]
    pub(crate) no_ui: bool,
    /// What stands before every path, such as /everloop, where a proxy puts the server below a path
    #[arg(long, value_name = "PATH")]
    pub(crate) base_path: Option<String>,
    /// Stop when standard input is closed
    #[arg(long, hide = true)]
    pub(crate) with_parent: bool,
}

#[derive(Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Have workers replay a task again after each of its steps: code that is not the same twice is found out at once
    #[arg(long)]
    pub(crate) replay_always: bool,
    /// Submit example tasks of several kinds and states, to look at
    #[arg(long)]
    pub(crate) sample: bool,
    /// Run the demo's kind of task
    #[arg(long, hide = true)]
    pub(crate) demo: bool,
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Run commands although nothing confines them
    #[arg(long)]
    pub(crate) unsafe_no_sandbox: bool,
}

#[derive(Args)]
pub(crate) struct WorkerArgs {
    /// A name for people [default: the machine's]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A queue to serve; several in the order in which they are tried [default: high, default, low]
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Vec<String>,
    /// Tasks at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) slots: u32,
    /// What it can do beyond its kinds, for tasks that require it
    #[arg(long, value_name = "NAME")]
    pub(crate) capability: Vec<String>,
    /// A file with the MCP servers that tasks may have started here, as hosts have it
    #[arg(long, value_name = "FILE")]
    pub(crate) mcp_servers: Option<String>,
    /// Run commands although nothing confines them
    #[arg(long)]
    pub(crate) unsafe_no_sandbox: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InDoubt {
    /// It happened.
    Happened,
    /// Run it again.
    Rerun,
    /// Give up.
    Fail,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    /// Your name for this run: with the same key it is followed, or its stored result given
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// A variable to pass on, beside PATH, HOME, LANG and TERM
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Vec<String>,
    /// The longest time that it may take, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
    /// What to do about a command that a crash cut off
    #[arg(long, value_name = "WHAT")]
    pub(crate) on_unknown: Option<InDoubt>,
    /// Where an embedded server keeps its files [default: ./.everloop]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// Replay dry: nothing that is not recorded is run, and nothing is written
    #[arg(long, required = true)]
    pub(crate) check: bool,
    /// Only tasks of this kind; may be given again
    #[arg(long, value_name = "KIND", conflicts_with = "task")]
    pub(crate) kind: Vec<String>,
    /// This task, whether it lives or not, and no others; may be given again
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Vec<String>,
    /// How long the worker may say nothing, such as 2m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,
    /// The command that starts your worker, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// An export or a receipt; - for standard input
    pub(crate) file: PathBuf,
    /// A JWKS with the keys to trust, such as that of /.well-known/jwks.json
    #[arg(long, value_name = "JWKS")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting, its value and where it comes from
    Show,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// An error code, or limits
    #[arg(value_name = "CODE")]
    pub(crate) topic: String,
}

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    pub(crate) shell: Shell,
}

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// How long each line is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// How many tasks are under way at once, a line for each
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,16,64,256", value_parser = at_once)]
    pub(crate) concurrency: Vec<usize>,
    /// Leave the tasks in the database
    #[arg(long)]
    pub(crate) keep: bool,
}

fn at_once(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000) => Ok(number),
        Ok(_) | Err(_) => Err("must be a number from 1 to 1000".to_owned()),
    }
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Decides when the server is killed; drawn when not given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// The folder whose files are read [default: this one]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Keep the server at the end, to look at what happened in a browser, until Ctrl-C
    #[arg(long)]
    pub(crate) ui: bool,
}

impl ServerArgs {
    fn flags(&self) -> Flags {
        let mut flags = Flags::new();
        let mut say = |key, value: &Option<String>| flags.extend(value.clone().map(|value| (key, value)));
        say("data_dir", &self.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned()));
        say("listen", &self.listen);
        say("database_url", &self.database_url);
        say("workers", &self.workers);
        say("log_format", &self.log_format);
        say("retention_days", &self.retention_days);
        say("retention_event_days", &self.retention_event_days);
        say("retention_log_days", &self.retention_log_days);
        say("digest_every", &self.digest_every);
        say("base_path", &self.base_path);
        say("mcp_servers", &self.mcp_servers);
        say("dashboard", &self.no_ui.then(|| "false".to_owned()));
        flags
    }
}

impl Command {
    /// What it says about settings.
    pub(crate) fn flags(&self) -> Flags {
        let sandbox =
            |unsafe_no_sandbox: bool| unsafe_no_sandbox.then(|| ("unsafe_no_sandbox", "true".to_owned()));
        match self {
            Self::Dev(dev) => dev.server.flags(),
            Self::Serve(serve) => {
                let mut flags = serve.server.flags();
                flags.extend(sandbox(serve.unsafe_no_sandbox));
                flags
            }
            Self::Worker(worker) => {
                let servers = worker.mcp_servers.clone().map(|file| ("mcp_servers", file));
                sandbox(worker.unsafe_no_sandbox).into_iter().chain(servers).collect()
            }
            Self::Migrate(migrate) => migrate.database.flags(),
            Self::Backup(backup) => backup.database.flags(),
            Self::Restore(restore) => restore.database.flags(),
            Self::Run(run) => {
                let folder = run.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned());
                folder.map(|folder| ("data_dir", folder)).into_iter().collect()
            }
            Self::Mcp(mcp) => mcp.flags(),
            Self::Task(_)
            | Self::DeadLetters(_)
            | Self::Bench(_)
            | Self::Replay(_)
            | Self::Verify(_)
            | Self::Doctor
            | Self::Config(_)
            | Self::Explain(_)
            | Self::Completions(_)
            | Self::Demo(_) => Flags::new(),
        }
    }
}
