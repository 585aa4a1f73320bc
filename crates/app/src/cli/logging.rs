//! Log lines of servers and workers: on standard error, as text or as JSON.

use crate::config::Settings;
use crate::failure::Failure;
use crate::output;
use tracing_subscriber::EnvFilter;

/// Starts writing log lines.
pub(crate) fn start(settings: &Settings) -> Result<(), Failure> {
    let wanted = settings.get("log").unwrap_or("info");
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        Failure::usage("log is not right")
            .cause(format!("{wanted:?}: {error}"))
            .hint("it is a level, or a list such as info,everloop_engine=debug")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if settings.get("log_format") == Some("json") {
        lines.json().try_init()
    } else {
        lines.with_ansi(output::is_coloured()).try_init()
    };
    started.map_err(|error| Failure::refused("the log could not be started").cause(error))
}
