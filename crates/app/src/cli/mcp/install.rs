//! `everloop mcp install`: tells a host of this program, after asking, so that it can be undone.
#![expect(clippy::disallowed_methods, reason = "it changes the file that whoever asks for it has agreed to")]

use super::super::args::InstallArgs;
use super::super::ground::Ground;
use super::hosts::{Entry, Home, Host};
use super::splice;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What is added to the name of a host's file for the copy of what was there.
const COPY: &str = "before-everloop";
/// What is added for the mark that there was nothing.
const NOTHING: &str = "new-by-everloop";

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    file.with_file_name(name)
}

fn trouble(file: &Path, what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::refused(format!("{} can't be {what}", file.display())).cause(error)
}

fn read(file: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(trouble(file, "read", error)),
    }
}

/// Writes a file in one go, with the rights of the one that it takes the place of. A link stays a link.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let file = &file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().unwrap_or(Path::new("."));
    let done = || {
        std::fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(text.as_bytes())?;
        new.as_file().sync_all()?;
        if let Ok(old) = std::fs::metadata(file) {
            new.as_file().set_permissions(old.permissions())?;
        }
        new.persist(file).map(|_| ()).map_err(|error| error.error)
    };
    done().map_err(|error: std::io::Error| trouble(file, "written", error))
}

/// The file with the entry in it.
fn with_entry(host: Host, file: &Path, text: &str, entry: &Entry) -> Result<String, Failure> {
    let by_hand = |error: String| {
        Failure::refused(format!("{} is not written as {} expects it", file.display(), host.title()))
            .cause(error)
            .hint(format!("add this by hand:\n{}", shown(entry)))
    };
    match entry {
        Entry::Json { path, value } => {
            splice::put(text, path, value).map_err(|error| by_hand(error.to_string()))
        }
        Entry::Toml { table, text: lines } => {
            // What was written here before gives way.
            let text = &without_entry(text, entry).unwrap_or_else(|| text.to_owned());
            let parsed: toml::Table = toml::from_str(text).map_err(|error| by_hand(error.to_string()))?;
            if parsed.get(*table).and_then(|table| table.get("everloop")).is_some() {
                return Err(by_hand(format!("it has a table {table}.everloop already")));
            }
            let gap = if text.is_empty() || text.ends_with("\n\n") { "" } else { "\n" };
            let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            Ok(format!("{text}{end}{gap}[{table}.everloop]\n{lines}"))
        }
    }
}

fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Json { path: [list, name], value } => format!("  \"{list}\": {{\"{name}\": {value}}}"),
        Entry::Toml { table, text } => {
            format!("  [{table}.everloop]\n  {}", text.trim_end().replace('\n', "\n  "))
        }
    }
}

/// Asks whoever sits there.
fn agreed(args: &InstallArgs, question: &str) -> Result<bool, Failure> {
    if args.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::usage("nobody is there to ask").hint("say --yes if it shall be done without asking")
        );
    }
    output::error_bytes(format!("{question} [y/N] ").as_bytes());
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::refused("the answer could not be read").cause(error))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

pub(super) fn run(ground: &Ground, args: &InstallArgs) -> Outcome {
    let home = Home::of(|name| std::env::var(name).ok())
        .ok_or_else(|| Failure::usage("the home folder is not known").hint("set HOME"))?;
    let file = args.host.file(&home);
    let program = std::env::current_exe()
        .map_err(|error| Failure::refused("this program does not know where it lies").cause(error))?;
    let mut arguments = vec!["mcp".to_owned()];
    let mut pass = |flag: &str, value: Option<&str>| {
        arguments.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()]));
    };
    // A key is never written there: whoever needs one names its file.
    pass("--url", ground.settings.get("url"));
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned();
    let key = ground.settings.path("api_key_file").map(absolute);
    pass("--api-key-file", key.as_deref());
    let folder = ground.settings.path("data_dir").map(absolute);
    pass("--data-dir", folder.as_deref());
    let entry = args.host.entry(&program, &arguments);

    if args.undo {
        return undo(ground, args, &file, &entry);
    }
    let before = read(&file)?;
    let after = with_entry(args.host, &file, before.as_deref().unwrap_or_default(), &entry)?;
    if before.as_ref() == Some(&after) {
        ground.talk(format!("{} knows of Everloop already: {}", args.host.title(), file.display()));
        return Ok(Exit::Done);
    }
    ground.talk(format!("{} will find this in {}:\n{}", args.host.title(), file.display(), shown(&entry)));
    if !agreed(args, "Write it?")? {
        ground.talk("nothing was changed");
        return Ok(Exit::Refused);
    }
    // The copy is of what was there before the first time.
    let (copy, nothing) = (beside(&file, COPY), beside(&file, NOTHING));
    if !copy.exists() && !nothing.exists() {
        match &before {
            Some(before) => write(&copy, before)?,
            None => write(&nothing, &after)?,
        }
    }
    write(&file, &after)?;
    if before.is_some() {
        ground.talk(format!("a copy of what was there is {}", copy.display()));
    }
    ground.talk(format!(
        "done; start {} again. To undo it: everloop mcp install {} --undo",
        args.host.title(),
        name(args.host)
    ));
    Ok(Exit::Done)
}

fn name(host: Host) -> String {
    clap::ValueEnum::to_possible_value(&host).map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The file without the entry; none where it is not there.
fn without_entry(text: &str, entry: &Entry) -> Option<String> {
    match entry {
        Entry::Json { path, .. } => splice::take(text, *path).ok().flatten(),
        Entry::Toml { table, .. } => {
            let head = format!("[{table}.everloop]\n");
            let start = text.find(&head)?;
            let rest = &text[start + head.len()..];
            let end = rest.find("\n[").map_or(rest.len(), |at| at + 1);
            Some(format!("{}{}", &text[..start], &rest[end..]))
        }
    }
}

/// Puts back what was there: byte for byte where nobody has written since, and without our entry otherwise.
fn undo(ground: &Ground, args: &InstallArgs, file: &Path, entry: &Entry) -> Outcome {
    let (copy, nothing) = (beside(file, COPY), beside(file, NOTHING));
    let (before, now) = (read(&copy)?, read(file)?.unwrap_or_default());
    if before.is_none() && !nothing.exists() {
        return Err(Failure::refused(format!("nothing was installed in {}", file.display()))
            .hint(format!("everloop mcp install {}", name(args.host))));
    }
    let untouched = match &before {
        Some(before) => with_entry(args.host, file, before, entry).is_ok_and(|after| after == now),
        None => read(&nothing)?.as_ref() == Some(&now),
    };
    let after = match (&before, untouched) {
        (Some(before), true) => Some(before.clone()),
        (None, true) => None,
        (_, false) => Some(without_entry(&now, entry).unwrap_or_else(|| now.clone())),
    };
    ground.talk(match (&after, untouched) {
        (None, _) => format!("{} will be removed: there was none before", file.display()),
        (Some(_), true) => format!("{} will be as it was before", file.display()),
        (Some(_), false) => format!("{} was changed since: only Everloop is taken out of it", file.display()),
    });
    if !agreed(args, "Undo it?")? {
        ground.talk("nothing was changed");
        return Ok(Exit::Refused);
    }
    let removed = |path: &Path| std::fs::remove_file(path).map_err(|error| trouble(path, "removed", error));
    match &after {
        Some(after) => write(file, after)?,
        None => removed(file)?,
    }
    removed(if before.is_some() { &copy } else { &nothing })?;
    ground.talk("undone");
    Ok(Exit::Done)
}
