//! What every command stands on: settings, the server that it talks to, time and chance.

use super::args::Global;
use crate::config::{Flags, Settings};
use crate::failure::{Exit, Failure};
use crate::output;
use everloop_client::discover::{self, DEV_FOLDER, Found, Surroundings};
use everloop_client::host::{SystemClock, SystemRandom};
use everloop_client::{Client, ClientOptions};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

/// What every command stands on.
pub(crate) struct Ground {
    pub(crate) settings: Settings,
    /// Answers as JSON.
    pub(crate) json: bool,
    /// No talk that nobody asked for.
    pub(crate) quiet: bool,
}

impl Ground {
    pub(crate) fn new(global: Global, mut flags: Flags) -> Result<Self, Failure> {
        if let Some(url) = global.url {
            flags.push(("url", url));
        }
        if let Some(file) = global.api_key_file {
            flags.push(("api_key_file", file.to_string_lossy().into_owned()));
        }
        let settings = Settings::load(flags, global.config, std::env::vars())?;
        Ok(Self { settings, json: global.json, quiet: global.quiet })
    }

    /// Says something, unless nobody wants to hear it.
    pub(crate) fn talk(&self, text: impl AsRef<str>) {
        if !self.quiet {
            output::talk(text);
        }
    }

    /// The user's state folder.
    pub(crate) fn state_folder(&self) -> Option<PathBuf> {
        discover::state_folder(|name| std::env::var(name).ok())
    }

    /// The data folder that was named, or that of dev mode here.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.settings.path("data_dir").unwrap_or_else(|| PathBuf::from(DEV_FOLDER))
    }

    /// Looks for the server.
    pub(crate) fn found(&self) -> Result<Found, Failure> {
        let api_key = match (self.settings.get("api_key"), self.settings.path("api_key_file")) {
            (Some(key), _) => Some(key.to_owned()),
            (None, Some(file)) => Some(discover::read_key_file(&file).map_err(|error| {
                Failure::usage(format!("the key file {} can't be read", file.display()))
                    .cause(error)
                    .hint("name a file with an API key in it: --api-key-file FILE, or set EVERLOOP_API_KEY")
            })?),
            (None, None) => None,
        };
        Ok(discover::discover(&Surroundings {
            url: self.settings.get("url").map(str::to_owned),
            api_key,
            folder: self.data_dir(),
            // Whoever names a folder means the server of that folder, and no other.
            only_here: self.settings.get("data_dir").is_some(),
            state: self.state_folder(),
        }))
    }

    /// How a client of that server is set up.
    pub(crate) fn options(&self, found: &Found) -> ClientOptions {
        let options =
            ClientOptions::new(&found.url, Arc::new(SystemClock::start()), Arc::new(SystemRandom::default()));
        ClientOptions { api_key: found.api_key.clone(), ..options }
    }

    /// Nobody listens anywhere that was looked at.
    fn unreachable(&self, url: &str) -> Failure {
        let failure = Failure::new(Exit::Unreachable, "no Everloop server is running");
        match self.settings.get("data_dir") {
            Some(folder) => failure.cause(format!("none keeps its files in {folder}")).hint(format!(
                "start one with: everloop dev --data-dir {folder}\nor name another with --url"
            )),
            None => failure
                .cause(format!(
                    "nobody listens at {url}, and neither does any server of this folder or this user"
                ))
                .hint("start one with: everloop dev\nor name one with --url or EVERLOOP_URL"),
        }
    }

    /// A client of the server that is found.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let found = self.found()?;
        if !found.listens {
            return Err(self.unreachable(&found.url));
        }
        Ok(Client::new(self.options(&found))?)
    }
}

/// Runs the asynchronous part of a command.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused("the program could not get going").cause(error))?;
    runtime.block_on(work)
}
