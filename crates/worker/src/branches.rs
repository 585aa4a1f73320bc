//! Several things at once, all of which count.

use crate::context::Context;
use crate::executor::Stop;
use everloop_types::error::{Code, TaskError};
use everloop_types::task::PauseReason;
use everloop_types::wait::Wait;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::HashSet;

/// Branches that run at the same time, where nothing else is said.
const CONCURRENCY: usize = 64;

pub(crate) type Branch<'a, T> = Box<dyn FnOnce(Context) -> BoxFuture<'a, Result<T, Stop>> + Send + 'a>;

/// Why branches could not go on, those that leave the others the time to come as far as they can.
#[derive(Default)]
pub(crate) struct Blocked {
    /// Somebody wants the task to stop at its next step, and to go on later.
    asked: Option<Stop>,
    replayed: Vec<String>,
    waits: Vec<(usize, Wait)>,
}

impl Blocked {
    /// Notes why a branch could not go on. Gives back what ends the others too.
    pub(crate) fn add(&mut self, n: usize, stop: Stop) -> Result<(), Stop> {
        match stop {
            Stop::Waiting(wait) => self.waits.push((n, wait)),
            Stop::Replayed(at) => self.replayed.extend(at),
            Stop::HandedBack => self.asked = Some(stop),
            Stop::Paused(ref reason) if reason.reason == PauseReason::REQUESTED => self.asked = Some(stop),
            Stop::Failed(_) | Stop::Paused(_) | Stop::Cancelled | Stop::ContinueAs(_) | Stop::LeaseLost => {
                return Err(stop);
            }
        }
        Ok(())
    }

    /// Why the whole can't go on, if it can't: when all that is left of it waits, the task waits for any of it.
    pub(crate) fn into_stop(mut self) -> Option<Stop> {
        if self.asked.is_some() {
            return self.asked;
        }
        self.waits.sort_by_key(|(n, _)| *n);
        if !self.replayed.is_empty() {
            for (_, wait) in &self.waits {
                wait.leaves(&mut |leaf| self.replayed.extend(leaf.cause().1.map(str::to_owned)));
            }
            return Some(Stop::Replayed(self.replayed));
        }
        let mut waits: Vec<_> = self.waits.into_iter().map(|(_, wait)| wait).collect();
        match waits.len() {
            0 => None,
            1 => waits.pop().map(Stop::Waiting),
            _ => Some(Stop::Waiting(Wait::Any(waits))),
        }
    }
}

/// Branches that are about to be run at the same time: the values of all, in their order.
///
/// The first failure ends the whole; the others are dropped where they stand.
#[must_use = "branches do nothing until they are run"]
pub struct Parallel<'a, T> {
    context: &'a Context,
    key: String,
    branches: Vec<Branch<'a, T>>,
    concurrency: usize,
}

impl<'a, T> Parallel<'a, T> {
    /// Adds a branch. Branches are numbered in this order, from 0.
    pub fn branch<F, R>(mut self, run: F) -> Self
    where
        F: FnOnce(Context) -> R + Send + 'a,
        R: Future<Output = Result<T, Stop>> + Send + 'a,
    {
        self.branches.push(Box::new(move |context| Box::pin(run(context))));
        self
    }

    /// How many run at the same time, 64 where nothing is said.
    pub fn concurrency(mut self, many: usize) -> Self {
        self.concurrency = many.max(1);
        self
    }

    /// Runs the branches.
    ///
    /// # Errors
    /// The first error; the reason to stop, when no branch can go on.
    pub async fn run(self) -> Result<Vec<T>, Stop> {
        let Self { context, key, branches, concurrency } = self;
        let places = (0..branches.len()).map(|n| n.to_string()).collect();
        all(context, &key, places, concurrency, branches, |branch, context| branch(context)).await
    }
}

/// A function that is about to be run for many items at the same time: the values of all, in their order.
#[must_use = "a map does nothing until it is run"]
pub struct Map<'a, I> {
    context: &'a Context,
    key: String,
    items: Vec<I>,
    places: Option<Vec<String>>,
    concurrency: usize,
}

impl<I> Map<'_, I> {
    /// Names the branches by their items in place of their numbers, so that items may come and go. Two items of one name are
    /// refused.
    pub fn keyed(mut self, key: impl Fn(&I) -> String) -> Self {
        self.places = Some(self.items.iter().map(key).collect());
        self
    }

    /// How many run at the same time, 64 where nothing is said.
    pub fn concurrency(mut self, many: usize) -> Self {
        self.concurrency = many.max(1);
        self
    }

    /// Runs the function for every item, each in a scope of its own.
    ///
    /// # Errors
    /// The first error; the reason to stop, when no branch can go on.
    pub async fn run<T, R>(self, work: impl Fn(Context, I) -> R) -> Result<Vec<T>, Stop>
    where
        R: Future<Output = Result<T, Stop>>,
    {
        let places = match self.places {
            Some(places) => places,
            None => (0..self.items.len()).map(|n| n.to_string()).collect(),
        };
        let one = |item, context| work(context, item);
        all(self.context, &self.key, places, self.concurrency, self.items, one).await
    }
}

impl Context {
    /// Begins to do several things at once, all of which count.
    pub fn parallel<'a, T>(&'a self, name: &str) -> Parallel<'a, T> {
        Parallel { context: self, key: self.next_key(name), branches: Vec::new(), concurrency: CONCURRENCY }
    }

    /// Begins to do the same for many items at once.
    pub fn map<I>(&self, name: &str, items: impl IntoIterator<Item = I>) -> Map<'_, I> {
        let items = items.into_iter().collect();
        Map { context: self, key: self.next_key(name), items, places: None, concurrency: CONCURRENCY }
    }
}

/// Runs a function for all, so many at the same time.
async fn all<I, T, R>(
    context: &Context,
    key: &str,
    places: Vec<String>,
    concurrency: usize,
    items: Vec<I>,
    work: impl Fn(I, Context) -> R,
) -> Result<Vec<T>, Stop>
where
    R: Future<Output = Result<T, Stop>>,
{
    context.boundary()?;
    check(key, &places)?;
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let scopes: Vec<_> = places.iter().map(|place| context.within(&format!("{key}[{place}]"))).collect();
    let mut values: Vec<Option<T>> = items.iter().map(|_| None).collect();
    let mut fork = context.shared().activity.fork(items.len());
    let mut blocked = Blocked::default();
    let mut left = items.into_iter().zip(&scopes).enumerate().map(|(n, (item, scope))| {
        let running = work(item, scope.clone());
        async move { (n, running.await) }
    });
    let mut running: FuturesUnordered<_> = left.by_ref().take(concurrency).collect();
    while let Some((n, ended)) = running.next().await {
        fork.ended();
        match ended {
            Ok(value) => values[n] = Some(value),
            Err(stop) => {
                if let Err(stop) = blocked.add(n, stop) {
                    for (_, scope) in scopes.iter().enumerate().filter(|(other, _)| *other != n) {
                        scope.journal().abandon(scope.path());
                    }
                    return Err(stop);
                }
            }
        }
        running.extend(left.next());
    }
    match blocked.into_stop() {
        Some(stop) => Err(stop),
        None => Ok(values.into_iter().flatten().collect()),
    }
}

/// Refuses names of branches that could be taken for others.
fn check(key: &str, places: &[String]) -> Result<(), Stop> {
    let mut seen = HashSet::new();
    for place in places {
        let is_name = !place.is_empty()
            && place.len() <= 200
            && !place.chars().any(|sign| matches!(sign, '/' | '#' | '[' | ']') || sign.is_control());
        let why = if !is_name {
            "1 to 200 bytes, without / # [ ] and control characters, can name a branch"
        } else if !seen.insert(place) {
            "two branches have this name"
        } else {
            continue;
        };
        return Err(TaskError::new(Code::InvalidRequest, format!("{key}[{place}]: {why}")).into());
    }
    Ok(())
}
