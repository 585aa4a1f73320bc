//! `everloop worker`: runs tasks for a server elsewhere.

use super::args::WorkerArgs;
use super::ground::{Ground, block_on};
use super::logging;
use crate::failure::{Exit, Failure, Outcome};
use crate::system::SystemClock;
use everloop_client::work::HttpSource;
use everloop_exec::http::Http;
use everloop_exec::mock::Mock;
use everloop_exec::shell::{Shell, ShellOptions};
use everloop_worker::executor::Registry;
use everloop_worker::run::{Options, Worker};
use std::sync::Arc;
use tokio::sync::watch;

pub(super) fn run(ground: &Ground, args: &WorkerArgs) -> Outcome {
    logging::start(&ground.settings)?;
    let client = ground.client()?;
    let registry = executors(args)?;
    let kinds: Vec<String> = registry.offers().into_iter().map(|offer| offer.kind).collect();
    let mut options = Options {
        name: args.name.clone().unwrap_or_else(machine),
        max_concurrent_tasks: args.slots,
        capabilities: args.capability.clone(),
        ..Options::default()
    };
    if !args.queue.is_empty() {
        options.queues.clone_from(&args.queue);
    }
    block_on(async {
        // Says at once whether there is a server that lets us in.
        client.about().await?;
        ground.talk(format!("working for {}: {}; stop with Ctrl-C", client.url(), kinds.join(", ")));
        let (stop, stopped) = watch::channel(false);
        let worker = Worker {
            source: Arc::new(HttpSource::new(client)),
            registry,
            clock: Arc::new(SystemClock::start()),
            options,
        };
        let signalled = async {
            told_to_stop().await;
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

async fn told_to_stop() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        // Then Ctrl-C has to do.
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// The name of this machine.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What a worker far from its server can run.
fn executors(args: &WorkerArgs) -> Result<Registry, Failure> {
    let registry = Registry::default().with(Arc::new(Mock)).with(Arc::new(Http::new()));
    if !args.unsafe_no_sandbox {
        return Ok(registry);
    }
    let failed =
        |error: std::io::Error| Failure::refused("this program does not know where it lies").cause(error);
    let workspaces = std::env::temp_dir().join(format!("everloop-worker-{}", std::process::id()));
    let shell = ShellOptions { allowed: true, ..ShellOptions::new(workspaces).map_err(failed)? };
    Ok(registry.with(Arc::new(Shell::new(shell))))
}
