//! A server on a file next to the project: found, started, and started again when whoever had it is gone.

use crate::discover::{listens, read_key, read_server};
use crate::embedded::{Embedded, StartError, StartOptions};
use crate::error::ClientError;
use crate::host::{SystemClock, SystemRandom};
use crate::project::program;
use crate::{Client, ClientOptions};
use everloop_types::error::Code;
use everloop_types::id::WorkerId;
use everloop_types::time::Clock as _;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to be there, or a folder to be free.
const START: Duration = Duration::from_secs(30);
/// How long to wait for somebody who has the folder: they are starting, or still stopping.
const TAKEN: Duration = Duration::from_millis(50);
/// How often in a row a server may refuse to start for another reason than that its folder is in use.
const REFUSALS: u32 = 3;

/// Options of a client of this machine.
pub(crate) fn options(url: &str) -> ClientOptions {
    ClientOptions::new(url, Arc::new(SystemClock::start()), Arc::new(SystemRandom::default()))
}

/// The server of a data folder: another process's while that lives, else our own.
pub(crate) struct Local {
    folder: PathBuf,
    client: Client,
    own: Option<Embedded>,
}

impl Local {
    /// Finds the server of the folder, or starts one.
    pub(crate) async fn open(folder: PathBuf) -> Result<Self, StartError> {
        let mut local = Self { folder, client: Client::new(options("http://127.0.0.1:1"))?, own: None };
        local.find().await?;
        Ok(local)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Finds it again whenever nobody answers, until that is given up.
    pub(crate) async fn keep(&mut self) -> StartError {
        loop {
            self.client.clone().unreachable().await;
            if !listens(&self.client.url())
                && let Err(error) = self.find().await
            {
                return error;
            }
        }
    }

    /// Points the client to the server of the folder, which is started where there is none.
    async fn find(&mut self) -> Result<(), StartError> {
        let clock = SystemClock::start();
        let mut refusals = 0;
        loop {
            if let Some(server) = read_server(&self.folder).filter(|server| listens(&server.url)) {
                let key = self.key_for(&server.url).await;
                self.client.point_to(server.url, key);
                return Ok(());
            }
            match self.start().await {
                Ok(()) => {}
                // Somebody else has it.
                Err(StartError::Ended { said })
                    if said.contains("another process") && clock.monotonic() < START =>
                {
                    tokio::time::sleep(TAKEN).await;
                }
                // Two that begin a new folder at once may stumble over each other's files.
                Err(StartError::Ended { .. }) if refusals + 1 < REFUSALS => refusals += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn start(&mut self) -> Result<(), StartError> {
        // One that does not answer is gone.
        self.own = None;
        let start = StartOptions {
            program: program().ok_or(StartError::NoProgram)?,
            arguments: vec!["dev".into()],
            folder: self.folder.clone(),
            log: self.log(),
            apart: None,
        };
        let started = Embedded::start(&start, options("http://127.0.0.1:1")).await;
        if started.is_err() {
            self.remove_log();
        }
        self.own = Some(started?);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("embedded-{}.log", std::process::id()))
    }

    fn remove_log(&self) {
        // What is not there needs no removing.
        let _ = std::fs::remove_file(self.log());
    }

    /// The key to show: none to a server that asks for none.
    async fn key_for(&self, url: &str) -> Option<String> {
        let about = Client::new(options(url)).ok()?.about().await;
        let is_asked = about.is_err_and(|error| error.code() == Some(Code::Unauthorized));
        is_asked.then(|| read_key(&self.folder)).flatten()
    }

    /// Stops the server if it is ours.
    pub(crate) async fn stop(mut self) {
        if let Some(own) = self.own.take() {
            // It was told to, and is killed where that was not enough.
            let _ = own.stop().await;
            self.remove_log();
        }
    }
}

/// Which process a worker lives in: a file in the data folder, for whoever comes after it was killed.
#[derive(Serialize, Deserialize)]
struct Note {
    boot: Option<String>,
    pid: i32,
    start: Option<String>,
    worker: String,
}

#[expect(clippy::disallowed_methods, reason = "what the system says about processes")]
fn system_file(file: &str) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

fn boot() -> Option<String> {
    system_file("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}

/// When a process began, so that another one with its number is not taken for it; none where nobody can tell.
fn start_of(pid: i32) -> Option<String> {
    let text = system_file(&format!("/proc/{pid}/stat"))?;
    // The name of the program stands in brackets and may contain anything; the 22nd field is the 20th behind it.
    text.rsplit(')').next()?.split_whitespace().nth(19).map(str::to_owned)
}

impl Note {
    fn is_alive(&self) -> bool {
        if self.boot.is_some() && self.boot != boot() {
            return false;
        }
        if self.start.is_some() && Path::new("/proc/self/stat").exists() {
            return start_of(self.pid) == self.start;
        }
        Pid::from_raw(self.pid).is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    }
}

/// Says in the data folder that a worker lives in this process.
#[expect(clippy::disallowed_methods, reason = "the note that it leaves there")]
pub(crate) fn note_worker(folder: &Path, worker: WorkerId) -> std::io::Result<PathBuf> {
    let notes = folder.join("workers");
    std::fs::create_dir_all(&notes)?;
    let file = notes.join(format!("{worker}.json"));
    let pid = i32::try_from(std::process::id()).unwrap_or_default();
    let note = Note { boot: boot(), pid, start: start_of(pid), worker: worker.to_string() };
    let draft = file.with_extension("new");
    std::fs::write(&draft, serde_json::to_vec(&note)?)?;
    std::fs::rename(draft, &file)?;
    Ok(file)
}

/// Takes off the server what was left by processes that are gone: their tasks are given back at once.
#[expect(clippy::disallowed_methods, reason = "the notes that others left there")]
pub(crate) async fn remove_dead_workers(folder: &Path, client: &Client) -> Result<(), ClientError> {
    let Ok(notes) = std::fs::read_dir(folder.join("workers")) else { return Ok(()) };
    for file in notes.filter_map(|note| Some(note.ok()?.path())) {
        let Some(note) =
            std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Note>(&text).ok())
        else {
            continue;
        };
        if note.is_alive() {
            continue;
        }
        match client.worker_delete(&note.worker).await {
            Ok(()) => {}
            Err(error) if error.code() == Some(Code::NotFound) => {}
            Err(error) => return Err(error),
        }
        // Somebody else may have looked at it too.
        let _ = std::fs::remove_file(&file);
    }
    Ok(())
}
