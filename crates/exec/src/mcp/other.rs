//! Exchanges with the other side, each over a connection of its own.

use super::input::{Call, Place};
use super::link::{self, Link};
use super::process::{Ended, Process};
use super::servers::{Program, Servers};
use crate::output::whole_chars;
use crate::shell::ShellOptions;
use everloop_types::error::{Code, TaskError};
use everloop_types::event::Level;
use everloop_types::limits::CHUNK_BYTES;
use everloop_worker::context::Context;
use futures_util::future::BoxFuture;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes that are kept of what the processes of one attempt say on standard error.
const STDERR_BYTES: usize = 64 * 1024;

/// The other side of one attempt.
pub(super) struct Other<'a> {
    context: &'a Context,
    call: &'a Call,
    servers: &'a Servers,
    /// Where processes get their folders, and who guards them.
    options: &'a ShellOptions,
    /// Bytes of standard error that were kept.
    said: AtomicUsize,
}

impl<'a> Other<'a> {
    pub(super) fn new(
        context: &'a Context,
        call: &'a Call,
        servers: &'a Servers,
        options: &'a ShellOptions,
    ) -> Self {
        Self { context, call, servers, options, said: AtomicUsize::new(0) }
    }

    /// Has an exchange. It is bounded, and ends when the task shall end. What the protocol needs is large, and so lies elsewhere.
    /// The key makes a call that is repeated known to servers that look for it.
    pub(super) fn ask<'b, T: Send + 'b, F: Future<Output = Result<T, TaskError>> + Send + 'b>(
        &'b self,
        key: Option<&'b str>,
        talk: impl FnOnce(Link) -> F + Send + 'b,
    ) -> BoxFuture<'b, Result<T, TaskError>> {
        let exchange: BoxFuture<'b, _> = Box::pin(self.exchange(self.call.timeout, key, talk));
        Box::pin(async move {
            tokio::select! {
                biased;
                _ = self.context.stopped() => Err(TaskError::new(Code::Cancelled, "the call was given up")),
                done = exchange => done,
            }
        })
    }

    /// The same, and nothing but its time ends it.
    pub(super) async fn exchange<T, F: Future<Output = Result<T, TaskError>>>(
        &self,
        limit: Duration,
        key: Option<&str>,
        talk: impl FnOnce(Link) -> F,
    ) -> Result<T, TaskError> {
        let late = || {
            link::unreachable(format_args!("no answer within {} ms (input.timeout_ms)", limit.as_millis()))
        };
        match &self.call.place {
            Place::Http { url, headers, .. } => {
                let talked = async {
                    let service = link::over_http(url, headers, key).await?;
                    talk(Link::of(&service)).await
                };
                tokio::time::timeout(limit, talked).await.unwrap_or_else(|_| Err(late()))
            }
            Place::Stdio { server, .. } => {
                let program =
                    self.servers.get(server).map_err(|words| TaskError::new(Code::InvalidRequest, words))?;
                let (mut process, socket) = self.start(program).await?;
                let talked = async {
                    let mut service = link::over(socket.into_split()).await?;
                    let done = talk(Link::of(&service)).await;
                    // It sees the end of its input before it is asked to end.
                    let _ = service.close().await;
                    done
                };
                let done = tokio::select! {
                    done = tokio::time::timeout(limit, talked) => done.unwrap_or_else(|_| Err(late())),
                    () = async { process.listen().await; pending().await } => Err(late()),
                };
                self.tell(server, process.end().await, done.is_err());
                done
            }
        }
    }

    async fn start(&self, program: &Program) -> Result<(Process, tokio::net::UnixStream), TaskError> {
        let room = STDERR_BYTES - self.said.load(Ordering::Relaxed).min(STDERR_BYTES);
        Process::start(self.context, self.options, program, room).await
    }

    /// Writes down what a process left.
    fn tell(&self, server: &str, ended: Ended, failed: bool) {
        let mut offset = self.said.fetch_add(ended.said.len(), Ordering::Relaxed);
        let mut rest = ended.said.as_slice();
        while !rest.is_empty() {
            let many = if rest.len() > CHUNK_BYTES { whole_chars(rest, CHUNK_BYTES) } else { rest.len() };
            let (chunk, more) = rest.split_at(many);
            self.context.log_chunk("stderr", Level::Info, offset as u64, chunk.to_vec());
            (offset, rest) = (offset + many, more);
        }
        if ended.is_cut && !ended.said.is_empty() {
            let words = format!("standard error is cut off here: {STDERR_BYTES} bytes of it are kept");
            self.context.log(Level::Warn, words);
        }
        if let Some(how) = ended.how.filter(|_| failed) {
            self.context.log(Level::Warn, format!("the process of server {server:?} {how}"));
        }
    }
}
