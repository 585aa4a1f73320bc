//! `everloop backup` and `everloop restore`: everything in one file, and back into either engine.
#![expect(clippy::disallowed_methods, reason = "the backup is a file of the user's")]

use super::args::{BackupArgs, RestoreArgs};
use super::ground::Ground;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use crate::wire::{self, SIGNING_KEY, Stores};
use everloop_client::host::{SystemClock, SystemRandom};
use everloop_control::archive::{self, ArchiveError, Manifest, Source, Target};
use everloop_types::time::Clock;
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What is in a backup, as JSON.
#[derive(Serialize)]
struct Shown {
    streams: u64,
    events: u64,
    rows: u64,
    blobs: u64,
    signing_key: bool,
}

fn show(ground: &Ground, did: &str, manifest: &Manifest) {
    let Manifest { streams, events, rows, blobs, signing_key, .. } = *manifest;
    if ground.json {
        output::json(&Shown { streams, events, rows, blobs, signing_key });
    } else {
        ground.talk(format!("{did}: {streams} streams, {events} events, {rows} rows, {blobs} blobs"));
    }
}

fn failed(error: ArchiveError, file: &Path) -> Failure {
    let (exit, hint) = match &error {
        ArchiveError::Foreign(_) => (Exit::Usage, "name a file that `everloop backup` has written"),
        ArchiveError::Newer(_) => (Exit::Refused, "use a newer Everloop"),
        ArchiveError::Damaged { .. } => (Exit::Broken, "nothing was written; use another backup"),
        ArchiveError::NotEmpty(_) => {
            (Exit::Refused, "name an empty database, or another folder with --data-dir")
        }
        ArchiveError::Io(_) => (Exit::Refused, "look at the file, its folder and the space on the disk"),
        ArchiveError::Store(_) => (Exit::Refused, "look at the database: everloop doctor"),
    };
    Failure::new(exit, error.to_string()).cause(file.display()).hint(hint)
}

/// Writes a backup. A file is there whole or not at all.
pub(super) fn backup(ground: &Ground, args: &BackupArgs) -> Outcome {
    let data_dir = ground.data_dir();
    let (clock, random) = (SystemClock::start(), SystemRandom::default());
    let signing_key = if args.include_signing_key { Some(private_key(&data_dir)?) } else { None };
    let (store, blobs) = wire::look_store(&data_dir, ground.settings.get("database_url"), &clock, &random)?;
    let source = Source { store: &*store, blobs: &*blobs, signing_key: signing_key.as_deref() };
    let write = |out: &mut dyn Write| archive::write(&source, clock.now(), out);
    if args.file == Path::new("-") {
        let mut out = io::stdout().lock();
        let manifest = write(&mut out).map_err(|error| failed(error, &args.file))?;
        if !ground.json {
            show(ground, "written", &manifest);
        }
        return Ok(Exit::Done);
    }
    if args.file.exists() {
        return Err(Failure::usage(format!("{} is there already", args.file.display()))
            .hint("name a file that is not there yet"));
    }
    let unfinished = args.file.with_extension("unfinished");
    let written = (|| {
        // There are secrets in it.
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        let mut out = BufWriter::new(file);
        let manifest = write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&unfinished, &args.file)?;
        let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(manifest)
    })();
    let manifest = written.map_err(|error| {
        // What is left of it is of no use; if it can't be removed, its name says so.
        let _ = fs::remove_file(&unfinished);
        failed(error, &args.file)
    })?;
    show(ground, &format!("{} is written", args.file.display()), &manifest);
    Ok(Exit::Done)
}

fn private_key(data_dir: &Path) -> Result<String, Failure> {
    let file = data_dir.join(SIGNING_KEY);
    fs::read_to_string(&file).map_err(|error| {
        Failure::refused(format!("{} can't be read", file.display()))
            .cause(error)
            .hint("leave --include-signing-key out, or name the data folder with --data-dir")
    })
}

/// Reads a backup into an empty database.
pub(super) fn restore(ground: &Ground, args: &RestoreArgs) -> Outcome {
    let file = File::open(&args.file).map_err(|error| {
        Failure::usage(format!("{} can't be read", args.file.display()))
            .cause(error)
            .hint("name a file that `everloop backup` has written")
    })?;
    let mut file = BufReader::new(file);
    if args.check {
        let manifest = archive::check(&mut file).map_err(|error| failed(error, &args.file))?;
        show(ground, &format!("{} is whole", args.file.display()), &manifest);
        return Ok(Exit::Done);
    }
    let data_dir = ground.data_dir();
    wire::make_folder(&data_dir)?;
    let (clock, random) = (SystemClock::start(), SystemRandom::default());
    let stores = wire::open_store(&data_dir, ground.settings.get("database_url"), None, &clock, &random)?;
    let Stores { mut writer, reader, blobs, name, .. } = stores;
    let own = data_dir.join(SIGNING_KEY);
    let mut keep_key = |key: &str| {
        if own.exists() {
            ground.talk(format!("{} was there already and stays", own.display()));
            return Ok(());
        }
        wire::write_secret(&own, key).map_err(io::Error::other)
    };
    let target = Target { store: &*reader, writer: &mut *writer, blobs: &*blobs, keep_key: &mut keep_key };
    let manifest =
        archive::restore(&mut file, target, clock.now()).map_err(|error| failed(error, &args.file))?;
    show(ground, &format!("restored into {name}"), &manifest);
    ground.talk(format!("start a server on it: everloop serve --data-dir {}", data_dir.display()));
    Ok(Exit::Done)
}
