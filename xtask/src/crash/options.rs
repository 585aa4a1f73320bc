//! The command line of `cargo xtask crash`.

use super::dice::Dice;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which database the server keeps its tasks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// What a run injects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) engine: Engine,
    /// Kills of the server.
    pub(crate) kills: u64,
    /// Kills of PostgreSQL, beside those of the server.
    pub(crate) database_kills: u64,
    pub(crate) seed: u64,
    /// The shortest and longest time between the server's answering and its kill.
    pub(crate) between: (Duration, Duration),
    /// Tasks that are kept in flight.
    pub(crate) clients: u64,
    /// Whether SQLite's log is taken away after each kill: a planted loss, which the oracle has to find.
    pub(crate) lose_log: bool,
    /// Whether the folder stays when all was well, too.
    pub(crate) keep: bool,
}

/// For the help.
const USAGE: &str = "cargo xtask crash --engine sqlite|postgres [--kills N] [--kill-database N] [--seed S] \
     [--seconds-between MIN..MAX] [--clients N] [--keep]";

impl Options {
    /// What is injected where nothing is said.
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            kills: 20,
            database_kills: 0,
            seed: fresh_seed(),
            between: (Duration::from_millis(100), Duration::from_millis(600)),
            clients: 16,
            lose_log: false,
            keep: false,
        }
    }

    pub(crate) fn parse(args: &[OsString]) -> Result<Self> {
        let mut words = args.iter().map(|arg| arg.to_str().context("an argument is not UTF-8"));
        let mut engine = None;
        let mut options = Self::new(Engine::Sqlite);
        while let Some(flag) = words.next().transpose()? {
            match flag {
                "--keep" => {
                    options.keep = true;
                    continue;
                }
                // Not in the usage: it is for trying the oracle.
                "--lose-log" => {
                    options.lose_log = true;
                    continue;
                }
                _ => {}
            }
            let value =
                words.next().transpose()?.with_context(|| format!("{flag} needs a value\n{USAGE}"))?;
            let number =
                || value.parse::<u64>().with_context(|| format!("{flag} needs a number, and no {value:?}"));
            match flag {
                "--engine" => engine = Some(read_engine(value)?),
                "--kills" => options.kills = number()?,
                "--kill-database" => options.database_kills = number()?,
                "--seed" => options.seed = number()?,
                "--clients" => options.clients = number()?.max(1),
                "--seconds-between" => options.between = read_between(value)?,
                _ => bail!("there is no {flag}\n{USAGE}"),
            }
        }
        options.engine = engine.with_context(|| format!("which engine?\n{USAGE}"))?;
        if options.database_kills > 0 && options.engine == Engine::Sqlite {
            bail!("--kill-database is for PostgreSQL: SQLite has no process of its own");
        }
        Ok(options)
    }

    /// The command that runs the same again.
    pub(crate) fn command(&self) -> String {
        let (least, most) = self.between;
        let mut command = format!(
            "cargo xtask crash --engine {} --kills {} --seed {} --seconds-between {}..{} --clients {}",
            self.engine.as_str(),
            self.kills,
            self.seed,
            least.as_secs_f64(),
            most.as_secs_f64(),
            self.clients
        );
        if self.database_kills > 0 {
            command.push_str(&format!(" --kill-database {}", self.database_kills));
        }
        command
    }
}

fn read_engine(text: &str) -> Result<Engine> {
    match text {
        "sqlite" => Ok(Engine::Sqlite),
        "postgres" => Ok(Engine::Postgres),
        _ => bail!("there is no engine {text:?}; there are sqlite and postgres"),
    }
}

fn read_between(text: &str) -> Result<(Duration, Duration)> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let seconds = |text: &str| {
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds
            .with_context(|| format!("--seconds-between needs MIN..MAX, such as 0.1..0.6, and no {text:?}"))
    };
    let (least, most) = (seconds(least)?, seconds(most)?);
    if least > most {
        bail!("--seconds-between: the least time comes first");
    }
    Ok((least, most))
}

/// A seed that nobody chose: short, so that it is easily typed again.
pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Dice::new(u64::try_from(now.as_nanos() % u128::from(u64::MAX)).unwrap_or(0), "seed", 0)
        .between(1, 999_999)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Options::parse(&args)
    }

    #[test]
    fn the_command_of_a_run_reads_back_as_the_same_run() {
        let options =
            parse("--engine postgres --kills 5 --seed 7 --kill-database 2 --seconds-between 0.05..1.5")
                .unwrap();
        assert_eq!(options.between, (Duration::from_millis(50), Duration::from_millis(1500)));
        let again = options.command();
        assert_eq!(parse(again.strip_prefix("cargo xtask crash ").unwrap()).unwrap(), options);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (line, named) in [
            ("--kills 5", "which engine"),
            ("--engine mysql", "mysql"),
            ("--engine sqlite --kills many", "many"),
            ("--engine sqlite --kills", "--kills"),
            ("--engine sqlite --kil 5", "--kil"),
            ("--engine sqlite --kill-database 1", "--kill-database"),
            ("--engine sqlite --seconds-between 2..1", "least"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
