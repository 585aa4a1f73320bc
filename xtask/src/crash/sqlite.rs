//! Whether a SQLite file is whole.

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use std::path::Path;

/// What `PRAGMA integrity_check` and `PRAGMA foreign_key_check` have to say; nothing when all is well.
pub(crate) fn complaints(database: &Path) -> Result<Vec<String>> {
    let connection =
        Connection::open(database).with_context(|| format!("{} can't be opened", database.display()))?;
    let mut complaints = rows(&connection, "PRAGMA integrity_check", 1)?;
    complaints.retain(|line| line != "ok");
    complaints.extend(rows(&connection, "PRAGMA foreign_key_check", 4)?);
    Ok(complaints)
}

/// The same of a copy of the files as they lie there now: of a database whose server was killed, with its log.
pub(crate) fn complaints_of_copy(data: &Path, into: &Path) -> Result<Vec<String>> {
    std::fs::create_dir_all(into)?;
    for name in [FILE.to_owned(), format!("{FILE}-wal")] {
        let (from, to) = (data.join(&name), into.join(&name));
        if from.exists() {
            std::fs::copy(from, to)?;
        }
    }
    let complaints = complaints(&into.join(FILE));
    std::fs::remove_dir_all(into)?;
    complaints
}

/// Takes the log away: what was committed since the last checkpoint is gone.
pub(crate) fn lose_log(data: &Path) -> Result<()> {
    for end in ["wal", "shm"] {
        let path = data.join(format!("{FILE}-{end}"));
        if path.exists() {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Moves the log into the file.
pub(crate) fn empty_log(data: &Path) -> Result<()> {
    let connection = Connection::open(data.join(FILE))?;
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    ensure!(busy == 0, "somebody has the database of {}", data.display());
    Ok(())
}

/// The server's file in its data folder.
pub(crate) const FILE: &str = "everloop.db";

fn rows(connection: &Connection, query: &str, columns: usize) -> Result<Vec<String>> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| {
        let columns = (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column));
        Ok(format!("{:?}", columns.collect::<Result<Vec<_>, _>>()?))
    })?;
    let lines: Result<Vec<String>, _> = rows.collect();
    // One column that says ok is the answer of a check that has found nothing.
    Ok(lines?.into_iter().map(|line| if line == "[Text(\"ok\")]" { "ok".to_owned() } else { line }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_has_no_complaints_and_a_torn_one_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let connection = Connection::open(&path).unwrap();
        let make = "PRAGMA foreign_keys = OFF; CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a REFERENCES a); INSERT INTO b VALUES (1);
            CREATE TABLE c (t TEXT); WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
            INSERT INTO c SELECT hex(randomblob(200)) FROM n; CREATE INDEX d ON c (t);";
        connection.execute_batch(make).unwrap();
        let dangling = complaints(&path).unwrap();
        assert_eq!(dangling.len(), 1, "{dangling:?}");
        connection.execute_batch("DELETE FROM b").unwrap();
        assert!(complaints(&path).unwrap().is_empty());
        drop(connection);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 4096].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        let copy = complaints_of_copy(folder.path(), &folder.path().join("copy"));
        assert!(copy.is_err() || !copy.unwrap().is_empty());
    }
}
