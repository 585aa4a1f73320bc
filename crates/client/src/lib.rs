//! The Rust client.
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
mod http;
pub mod mcp;
mod sse;
pub mod system;
pub mod tasks;
pub mod work;

pub use http::{Client, ClientOptions};
