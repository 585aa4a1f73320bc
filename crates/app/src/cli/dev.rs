//! `everloop dev`: a server for oneself.

use super::args::{DevArgs, ServerArgs};
use super::demo::executor::DemoFiles;
use super::ground::Ground;
use super::{logging, sample};
use crate::failure::{Exit, Failure, Outcome};
use crate::mcp_servers;
use crate::output;
use crate::wire::{self, ServeOptions};
use everloop_control::Mode;
use everloop_engine::housekeep::Retention;
use everloop_worker::executor::Registry;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn run(ground: &Ground, dev: &DevArgs) -> Outcome {
    let options = options(ground, Mode::Dev, ground.data_dir())?;
    let extra = if dev.demo { Registry::default().with(Arc::new(DemoFiles)) } else { Registry::default() };
    let options = ServeOptions { extra, replay_always: dev.replay_always, ..options };
    serve_then(ground, &dev.server, &options, |url| {
        if dev.sample {
            let (url, quiet) = (url.to_owned(), ground.quiet);
            let key_file = options.key_file();
            // The server is on its way: whoever asks it must not be on its thread.
            std::thread::spawn(move || match sample::submit(&url, &key_file) {
                Ok(0) | Err(_) if quiet => {}
                Ok(new) => output::talk(format!("{new} example tasks were submitted")),
                Err(failure) => output::talk(format!("the example tasks were not submitted: {failure}")),
            });
        }
    })
}

/// What the settings say about a server.
pub(crate) fn options(ground: &Ground, mode: Mode, data_dir: PathBuf) -> Result<ServeOptions, Failure> {
    let settings = &ground.settings;
    Ok(ServeOptions {
        mode,
        data_dir,
        database_url: settings.get("database_url").map(str::to_owned),
        listen: settings.parsed("listen")?,
        api_key_file: settings.path("api_key_file"),
        slots: settings.parsed("workers")?,
        extra: Registry::default(),
        replay_always: false,
        mcp_servers: mcp_servers::read(settings)?,
        unsafe_no_sandbox: settings.parsed("unsafe_no_sandbox")?,
        digest_every: settings.parsed("digest_every")?,
        ui: settings.parsed("dashboard")?,
        base_path: settings.get("base_path").unwrap_or_default().to_owned(),
        retention: Retention {
            tasks: days(settings.parsed("retention_days")?),
            events: settings.parsed_opt("retention_event_days")?.map(days),
            logs: settings.parsed_opt("retention_log_days")?.map(days),
        },
    })
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

/// Runs a server until it is asked to stop.
pub(crate) fn serve(ground: &Ground, server: &ServerArgs, options: &ServeOptions) -> Outcome {
    serve_then(ground, server, options, |_| ())
}

/// The same, and does something with its address once it can be used.
fn serve_then(
    ground: &Ground,
    server: &ServerArgs,
    options: &ServeOptions,
    then: impl FnOnce(&str),
) -> Outcome {
    logging::start(&ground.settings)?;
    if server.with_parent {
        stop_with_parent();
    }
    wire::serve(options, |ready| {
        let hint = match options.mode {
            Mode::Dev if options.ui => "open it in a browser, or try: everloop task start mock --follow",
            Mode::Dev => "try: everloop task start mock --follow",
            Mode::Serve => "callers need the key",
        };
        ground.talk(format!("Everloop is ready at {} ({hint})", ready.url));
        ground.talk(format!(
            "its files are in {} ({}); stop it with Ctrl-C",
            ready.data_dir.display(),
            ready.store
        ));
        then(&ready.url);
    })?;
    Ok(Exit::Done)
}

/// Asks this process to stop when its standard input ends: whoever started it is gone then.
fn stop_with_parent() {
    std::thread::spawn(|| {
        let mut input = std::io::stdin().lock();
        let mut buffer = [0; 64];
        // An error means the same as the end: nobody is there.
        while input.read(&mut buffer).is_ok_and(|length| length > 0) {}
        // Signalling oneself can't fail.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
    });
}
