//! Everloop for Rust: functions as durable tasks, and the client of a server.
//!
//! [`task()`] makes a function a task, [`run`] runs it from a program without a server of its own, [`worker`] serves tasks to a
//! server; what a function does in between is in its [`Context`]. `docs/rust.md` shows all of it.
//!
//! [`Client`] speaks to one server: it finds it, repeats what may be repeated, follows the events of one task or of many across
//! lost connections, and hands out work over HTTP. Time and randomness are given to it. Events come as server-sent events: the
//! server's WebSocket gives the same and can't be gone on with by itself.
//!
//! ```no_run
//! # use everloop_client::{Client, ClientOptions};
//! # use everloop_api::task::TaskRequest;
//! # async fn example(options: ClientOptions) -> Result<(), everloop_client::error::ClientError> {
//! let client = Client::new(options)?;
//! let task = client.submit(&TaskRequest::new("mock"), None).await?;
//! let output = client.finished(&task.task.id.to_string()).await?;
//! # Ok(()) }
//! ```

pub mod discover;
pub mod embedded;
pub mod error;
pub mod feed;
pub mod follow;
pub mod function;
pub mod host;
mod http;
mod lenient;
mod local;
pub mod mcp;
pub mod project;
pub mod runner;
mod server;
mod sse;
pub mod system;
pub mod tasks;
pub mod work;

pub use everloop_types::error::{Class, TaskError};
pub use everloop_types::json::Json;
pub use everloop_types::step::OnUnknown;
pub use everloop_types::task::{Policy, Progress};
pub use everloop_worker::context::{Context, canonical};
pub use everloop_worker::executor::{Registry, Stop};
pub use everloop_worker::run::Options as WorkerOptions;
pub use everloop_worker::step::Verdict;
pub use function::{Task, task};
pub use http::{Client, ClientOptions};
pub use runner::{RunError, RunOptions, Runner, run, worker};

/// The blocks of the page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust.md")]
struct RustPage;
