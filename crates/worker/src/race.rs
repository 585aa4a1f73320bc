//! Several things at once, of which the first to end counts.

use crate::activity::Fork;
use crate::branches::{Blocked, Branch};
use crate::context::{Context, Manner, canonical};
use crate::executor::Stop;
use crate::journal::{Found, Outcome};
use everloop_journal::digest;
use everloop_types::error::{Code, TaskError};
use futures_util::future::BoxFuture;
use std::future::poll_fn;
use std::task::Poll;

/// The kind of the record that says who has won.
const RACE: &str = "race";

/// A race that is about to be run, or replayed.
///
/// Each branch has a context with a scope of its own. The branch that ends first has won, with its result or with an error
/// that is not retried; that is durable before anybody sees it, and from then on the others are not run any more. When all
/// that is left of the branches waits, the task waits for any of it.
#[must_use = "a race does nothing until it is run"]
pub struct Race<'a, T> {
    context: &'a Context,
    key: String,
    branches: Vec<Branch<'a, T>>,
}

/// How the branches came to an end.
enum End<T> {
    Won(usize, Result<T, TaskError>),
    Stopped(Stop),
}

impl<'a, T> Race<'a, T> {
    pub(crate) fn new(context: &'a Context, name: &str) -> Self {
        Self { context, key: context.next_key(name), branches: Vec::new() }
    }

    /// Adds a branch. Branches are numbered in this order, from 0.
    pub fn branch<F, R>(mut self, run: F) -> Self
    where
        F: FnOnce(Context) -> R + Send + 'a,
        R: Future<Output = Result<T, Stop>> + Send + 'a,
    {
        self.branches.push(Box::new(move |context| Box::pin(run(context))));
        self
    }

    /// Runs the branches: the number of the one that has won, and what it gave.
    ///
    /// # Errors
    /// The error of the branch that has won; the reason to stop.
    pub async fn run(self) -> Result<(usize, T), Stop> {
        let Self { context, key, branches } = self;
        if branches.is_empty() {
            return Err(TaskError::new(Code::Internal, format!("race {key} has no branches")).into());
        }
        let intent = digest::intent(&canonical(&branches.len())?);
        let winner = match context.journal().find(&key, RACE, &intent)? {
            Found::Outcome(Outcome::Completed(winner)) => Some(winner.parse::<usize>()?),
            Found::Outcome(Outcome::Failed(error)) => return Err(Stop::Failed(error)),
            Found::Nothing { .. } | Found::InDoubt(..) => None,
        };
        let manner = Manner {
            in_race: true,
            is_past: winner.is_some() || context.manner.is_past,
            is_contested: winner.is_none() || context.manner.is_contested,
            ..context.manner
        };
        let scopes: Vec<_> =
            (0..branches.len()).map(|n| context.within(&format!("{key}[{n}]")).with_manner(manner)).collect();
        if let Some(winner) = winner {
            abandon(&scopes, winner);
            for (n, (branch, scope)) in branches.into_iter().zip(scopes).enumerate() {
                if n == winner {
                    return branch(scope).await.map(|value| (n, value));
                }
            }
            return Err(TaskError::new(Code::Internal, format!("race {key} has no branch {winner}")).into());
        }
        let running: Vec<_> =
            branches.into_iter().zip(&scopes).map(|(branch, scope)| Some(branch(scope.clone()))).collect();
        let fork = context.shared().activity.fork(running.len());
        match first(running, fork).await {
            End::Won(winner, outcome) => {
                if context.is_dry() {
                    return Err(Stop::Replayed(vec![key]));
                }
                context.record(key.clone(), RACE, intent, canonical(&winner)?);
                context.flush().await?;
                abandon(&scopes, winner);
                context.go_on(&key)?;
                Ok((winner, outcome?))
            }
            End::Stopped(stop) => Err(stop),
        }
    }
}

fn abandon(scopes: &[Context], winner: usize) {
    for (_, scope) in scopes.iter().enumerate().filter(|(n, _)| *n != winner) {
        scope.journal().abandon(scope.path());
    }
}

/// Looks at the branches in their order until one has ended or none can go on.
async fn first<T>(mut running: Vec<Option<BoxFuture<'_, Result<T, Stop>>>>, mut fork: Fork<'_>) -> End<T> {
    let mut blocked = Blocked::default();
    poll_fn(|polled| {
        for (n, slot) in running.iter_mut().enumerate() {
            let Some(branch) = slot else { continue };
            let Poll::Ready(ended) = branch.as_mut().poll(polled) else { continue };
            *slot = None;
            fork.ended();
            match ended {
                Ok(value) => return Poll::Ready(End::Won(n, Ok(value))),
                // Of an error that is tried again, nothing is known yet.
                Err(Stop::Failed(error)) if !error.class.is_retried() => {
                    return Poll::Ready(End::Won(n, Err(error)));
                }
                Err(stop) => {
                    if let Err(stop) = blocked.add(n, stop) {
                        return Poll::Ready(End::Stopped(stop));
                    }
                }
            }
        }
        if running.iter().any(Option::is_some) {
            return Poll::Pending;
        }
        // Every one of them has said why it can't go on.
        let stop = std::mem::take(&mut blocked).into_stop().unwrap_or(Stop::HandedBack);
        Poll::Ready(End::Stopped(stop))
    })
    .await
}
