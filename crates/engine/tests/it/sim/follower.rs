//! Followers of one stream after the other, and of many at once.

use super::machine::Machine;
use super::net::Lost;
use super::server::Server;
use super::world::World;
use everloop_control::Caller;
use everloop_control::follow::{FeedFilter, Followed};
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{Event, TypeFilter};
use everloop_types::id::TaskId;
use everloop_types::stream::StreamName;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a follower was shown.
type Seen = Vec<(u64, [u8; 32])>;

/// Follows tasks until it is told to stop; then everything that it has seen is held against the log.
pub(crate) async fn run(world: Arc<World>, n: u32) {
    let name = format!("follower-{n}");
    let machine = Machine::new(&name, world.start, 0);
    let dice = world.dice(&name);
    let mut followed = BTreeSet::new();
    let mut seen_all = Vec::new();
    while !world.stopping() {
        let next = {
            let known = world.known.lock().unwrap();
            let new: Vec<_> = known.iter().filter(|task| !followed.contains(*task)).copied().collect();
            if new.is_empty() { None } else { Some(*dice.pick(&new)) }
        };
        let Some(task) = next else {
            tokio::time::sleep(Duration::from_secs(2)).await;
            continue;
        };
        followed.insert(task);
        let seen = follow(&world, &machine, &dice, &name, task).await;
        seen_all.push((task, seen));
    }
    for (task, seen) in seen_all {
        world.oracle().followed(&name, StreamName::Task(task), &seen);
    }
}

/// Follows a task to its end, with as many connections as it takes.
async fn follow(
    world: &World,
    machine: &Machine,
    dice: &super::dice::Dice,
    name: &str,
    task: TaskId,
) -> Seen {
    let mut seen: Seen = Vec::new();
    loop {
        let after = seen.len() as u64;
        let connect = move |server: Arc<Server>| -> BoxFuture<'static, _> {
            Box::pin(async move {
                let following = server.control.follow(&Caller::local(true), task, after, false).await;
                following.map(|following| (server.life.clone(), following))
            })
        };
        let (life, mut following) = match world.call(machine, dice, connect).await {
            Ok(Ok((life, Some(following)))) => (life, following),
            // Nothing follows; or the task was deleted.
            Ok(Ok((_, None))) => return seen,
            Ok(Err(refusal)) if refusal.code == Code::NotFound => return seen,
            Ok(Err(_)) | Err(Lost(_)) => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                continue;
            }
        };
        // Some hang up by themselves; and whoever hears nothing for long looks whether anybody is there.
        let mut left = if dice.per_mille(300) { dice.range(1, 6) } else { u64::MAX };
        while left > 0 {
            left -= 1;
            let next = tokio::time::timeout(Duration::from_secs(45), life.through(following.next())).await;
            match next {
                Ok(Some(Ok(Followed::Events(events)))) => {
                    let stored = world.stored();
                    for event in events {
                        world.oracle().shown(&*stored, name, &event);
                        seen.push((event.seq, event.hash));
                        world.count("events shown to followers");
                    }
                }
                Ok(Some(Ok(Followed::Frame { .. }))) => {}
                Ok(Some(Ok(Followed::Notice { kind, data, .. }))) => {
                    let verdict = Err(format!("{name} at {task}/{}: {kind} {}", seen.len(), data.as_str()));
                    world.rule("nothing that was shown is taken back", verdict);
                    return seen;
                }
                Ok(Some(Ok(Followed::End))) => return seen,
                Ok(Some(Err(_)) | None) => break,
                Err(_) => {
                    world.oracle().hears_nothing(name, task, seen.len());
                    break;
                }
            }
        }
        world.count("followers that connected again");
        tokio::time::sleep(dice.within(Duration::from_secs(2))).await;
    }
}

/// Follows everything, or the events of some types.
pub(crate) async fn feed(world: Arc<World>, n: u32) {
    let name = format!("feed-{n}");
    let machine = Machine::new(&name, world.start, 0);
    let dice = world.dice(&name);
    let types =
        *dice.pick(&["", "step.*,task.completed", "task.*", "custom.*,log", "task.failed,task.cancelled"]);
    let types = TypeFilter::parse(types).unwrap();
    let mut seen: Vec<Event> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let last = world.stopping();
        let (after, filter) = (cursor.clone(), FeedFilter { types: types.clone(), ..FeedFilter::default() });
        let connect = move |server: Arc<Server>| -> BoxFuture<'static, Result<_, Refusal>> {
            let (after, filter) = (after.clone(), filter.clone());
            Box::pin(async move {
                let feed = server.control.feed(&Caller::local(true), filter, after.as_deref()).await?;
                Ok((server.life.clone(), feed))
            })
        };
        let Ok(Ok((life, mut feed))) = world.call(&machine, &dice, connect).await else {
            tokio::time::sleep(Duration::from_millis(900)).await;
            continue;
        };
        let mut left = if dice.per_mille(500) { dice.range(1, 10) } else { 100 };
        let mut drained = false;
        while left > 0 && !drained {
            left -= 1;
            let since = Instant::now();
            let page = if last {
                life.through(feed.page(None)).await
            } else {
                let next = tokio::time::timeout(Duration::from_secs(30), life.through(feed.next())).await;
                next.unwrap_or_default()
            };
            let Some(Ok(page)) = page else { break };
            drained = last && !page.more;
            let stored = world.stored();
            for (_, event) in page.items {
                world.oracle().shown(&*stored, &name, &event);
                world.oracle().fed_live(&name, since, &event);
                seen.push(event);
            }
            cursor = Some(page.cursor);
        }
        if drained {
            break;
        }
    }
    let stored = world.stored();
    let checked = world.oracle().fed(&*stored, &name, &types, &seen);
    world.rule("the store can be read in the end", checked.map_err(|error| error.to_string()));
}
