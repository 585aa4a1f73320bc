//! The grammar of `everloop task` and `everloop dead-letters`.

use crate::cli::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum TaskCommand {
    /// Submit a task; prints its id, or with --wait its result
    Start(Box<StartArgs>),
    /// List tasks, the newest first
    List(ListArgs),
    /// Show a task as it stands
    Get(GetArgs),
    /// Watch a task to its end
    Follow(FollowArgs),
    /// What a task wrote
    Logs(LogsArgs),
    /// End a task
    Cancel(SteerArgs),
    /// Let a task stand still at its next step
    Pause(SteerArgs),
    /// Let a paused task go on
    Resume(TaskArgs),
    /// A new task that begins with recorded steps of this one
    Fork(ForkArgs),
    /// Send something to a task that waits for it
    Input(InputArgs),
    /// Answer a question of a task
    Decide(DecideArgs),
    /// The result of a finished task
    Output(TaskArgs),
    /// All events, and the receipt last, as lines of JSON that anyone can verify
    Export(ExportArgs),
    /// The signed receipt of a finished task
    Receipt(TaskArgs),
}

/// A task.
#[derive(Args)]
pub(crate) struct TaskArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
}

#[derive(Args)]
pub(crate) struct SteerArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Args)]
pub(crate) struct StartArgs {
    /// Which executor runs it: mock, shell, http, or one of a worker of yours
    pub(crate) kind: String,
    /// Its input as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "input_file")]
    pub(crate) input: Option<String>,
    /// A file with its input; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,
    /// Your own name for it: the same task however often it is started
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Where it waits for a worker
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// From -100 to 100, higher first
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    pub(crate) priority: Option<i32>,
    /// A title for people
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// A label to filter by
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) label: Vec<String>,
    /// A task that must be completed first, by id
    #[arg(long, value_name = "TASK")]
    pub(crate) after: Vec<String>,
    /// Not before this time, such as 2026-01-31T08:30:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// It fails when it has not ended by then
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
    /// The longest time that one attempt may run, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
    /// How often it is tried
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tries: Option<u32>,
    /// A capability that its worker must have
    #[arg(long, value_name = "NAME")]
    pub(crate) requires: Vec<String>,
    /// A host that it may call
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// An MCP server of the operator's that it may have started
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_mcp: Vec<String>,
    /// What to do about a step that a crash cut off
    #[arg(long, value_name = "WHAT", value_parser = ["rerun", "verify", "ask", "fail"])]
    pub(crate) on_unknown: Option<String>,
    /// Wait so long for its end, and print its result
    #[arg(long, value_name = "TIME", value_parser = duration::parse, conflicts_with = "follow")]
    pub(crate) wait: Option<Duration>,
    /// Watch it to its end
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    /// In this state; several with commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) state: Vec<String>,
    /// Of this kind
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// In this queue
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// With this label
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) label: Vec<String>,
    /// Children of this task
    #[arg(long, value_name = "TASK")]
    pub(crate) parent: Option<String>,
    /// With a key that begins so
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_prefix: Option<String>,
    /// With this text in name, title or key
    #[arg(long, value_name = "TEXT")]
    pub(crate) find: Option<String>,
    /// The oldest first
    #[arg(long)]
    pub(crate) oldest: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Args)]
pub(crate) struct GetArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// Wait so long for its end
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Args)]
pub(crate) struct FollowArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// From after this event
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(crate) after: u64,
    /// Only events of these types, such as step.*,task.completed
    #[arg(long, value_delimiter = ',')]
    pub(crate) types: Vec<String>,
    /// Tokens and progress as well that are never stored
    #[arg(long)]
    pub(crate) frames: bool,
}

#[derive(Args)]
pub(crate) struct LogsArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// Stay until its end
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Args)]
pub(crate) struct ForkArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// Keep what was recorded before this step, and run it anew
    #[arg(long, value_name = "STEP", conflicts_with = "upto_seq")]
    pub(crate) from_step: Option<String>,
    /// Keep what was recorded up to this event
    #[arg(long, value_name = "SEQ")]
    pub(crate) upto_seq: Option<u64>,
    /// Key of the fork
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Another input, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) input: Option<String>,
}

#[derive(Args)]
pub(crate) struct InputArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// The name that it waits for
    pub(crate) name: String,
    /// What, as JSON; null when not given
    #[arg(value_name = "JSON")]
    pub(crate) data: Option<String>,
    /// Your own id for it: however often it is sent, it comes once
    #[arg(long)]
    pub(crate) id: Option<String>,
}

#[derive(Args)]
pub(crate) struct DecideArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// Id of the question: `everloop task get` shows it
    pub(crate) request: String,
    /// One of its choices
    pub(crate) decision: String,
    /// Why
    #[arg(long)]
    pub(crate) note: Option<String>,
    /// A value that belongs to the decision, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) result: Option<String>,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// Its id, or key: and its key
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Tasks that failed
    List(DeadListArgs),
    /// Run failed tasks again as forks that keep every recorded step
    Redrive(RedriveArgs),
}

#[derive(Args)]
pub(crate) struct DeadListArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Args)]
pub(crate) struct RedriveArgs {
    /// Their ids
    #[arg(value_name = "TASK", required = true)]
    pub(crate) tasks: Vec<String>,
}
