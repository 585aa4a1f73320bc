//! `everloop migrate`: the schema of the database.

use super::args::{MigrateArgs, MigrateCommand};
use super::ground::Ground;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use crate::wire::{self, Migrate};
use serde::Serialize;

/// A migration as JSON.
#[derive(Serialize)]
struct Shown {
    number: u32,
    name: String,
    applied_at: Option<String>,
}

pub(super) fn run(ground: &Ground, migrate: &MigrateArgs) -> Outcome {
    let wish = match &migrate.command {
        MigrateCommand::Status => Migrate::Status,
        MigrateCommand::Up { to } => Migrate::Up(*to),
        MigrateCommand::Down { steps, yes: true } => Migrate::Down(*steps),
        MigrateCommand::Down { yes: false, .. } => {
            let message = "going down drops tables with what they hold";
            return Err(Failure::new(Exit::Usage, message).hint("make a copy first, then say --yes"));
        }
    };
    let applied = wire::migrate(&ground.data_dir(), ground.settings.get("database_url"), wish)?;
    for migration in applied {
        let applied_at = migration.applied_at.map(|at| at.to_string());
        if ground.json {
            output::json(&Shown { number: migration.number, name: migration.name, applied_at });
        } else {
            let when = applied_at.unwrap_or_else(|| "not applied".to_owned());
            output::bytes(format!("{:04}  {}  {when}\n", migration.number, migration.name).as_bytes());
        }
    }
    Ok(Exit::Done)
}
