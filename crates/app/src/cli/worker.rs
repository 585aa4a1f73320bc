//! `everloop worker`: runs tasks for a server elsewhere.

use super::args::WorkerArgs;
use super::ground::{Ground, block_on};
use super::logging;
use crate::failure::{Exit, Failure, Outcome};
use crate::mcp_servers;
use crate::wire;
use everloop_worker::run::Options;
use tokio::sync::watch;

pub(super) fn run(ground: &Ground, args: &WorkerArgs) -> Outcome {
    logging::start(&ground.settings)?;
    let servers = mcp_servers::read(&ground.settings)?;
    let client = ground.client()?;
    let mut options = Options {
        name: args.name.clone().unwrap_or_else(machine),
        max_concurrent_tasks: args.slots,
        capabilities: args.capability.clone(),
        ..Options::default()
    };
    if !args.queue.is_empty() {
        options.queues.clone_from(&args.queue);
    }
    let worker = wire::worker(client.clone(), options, servers, args.unsafe_no_sandbox)
        .map_err(|error| Failure::refused("this worker can't be set up").cause(error))?;
    let kinds: Vec<String> = worker.registry.offers().into_iter().map(|offer| offer.kind).collect();
    block_on(async {
        // Says at once whether there is a server that lets us in.
        client.about().await?;
        ground.talk(format!("working for {}: {}; stop with Ctrl-C", client.url(), kinds.join(", ")));
        let (stop, stopped) = watch::channel(false);
        let told = wire::told_to_stop()
            .map_err(|error| Failure::refused("signals can't be listened for").cause(error))?;
        let signalled = async {
            told.await;
            ground.talk("stopping: running tasks may go on for a moment");
            stop.send_replace(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = worker.run(stopped) => ended.map_err(|error| Failure::refused("the server does not take this worker").cause(error))?,
            () = signalled => {}
        }
        Ok(Exit::Done)
    })
}

/// The name of this machine.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
