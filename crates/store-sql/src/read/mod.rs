//! The read ports, written once for both engines.

mod events;
mod installation;
mod queue;
mod snapshot;
pub(crate) mod sql;
mod tasks;

#[cfg(test)]
pub(crate) use tasks::tests::{lists, text as tasks_text};

use crate::statement::{Engine, Statement};
use crate::value::{Row, Value};
use everloop_store::error::StoreError;

/// Where the texts of the engines differ.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    /// The function that finds a text within another: `f(text, part) > 0`.
    pub(crate) find: &'static str,
    /// What stands before the number of a parameter. Behind a `$`, SQLite takes the number for a name, and counts by itself.
    pub(crate) mark: char,
    /// Whether a list says which index it goes by. SQLite has no statistics to know by.
    pub(crate) indexed_by: bool,
}

impl Dialect {
    pub(crate) const SQLITE: Self = Self { find: "instr", mark: '?', indexed_by: true };
    pub(crate) const POSTGRES: Self = Self { find: "strpos", mark: '$', indexed_by: false };
}

/// An engine as reads see it.
pub(crate) trait Database: Send + Sync {
    /// Which one.
    const ENGINE: Engine;
    /// What it understands otherwise than the other one.
    const DIALECT: Dialect;
    /// Events of a tenant after a position.
    const FEED: &'static Statement;
    /// The last position of a tenant.
    const LAST_POSITION: &'static Statement;

    /// Runs a statement and takes every row.
    fn each(&self, sql: &str, params: &[Value<'_>], take: Take<'_>) -> Result<(), StoreError>;
}

/// What becomes of a row.
pub(crate) type Take<'a> = &'a mut dyn FnMut(&dyn Row) -> Result<(), StoreError>;

/// Readers over an engine.
pub(crate) struct Reader<D>(pub(crate) D);

impl<D: Database> Reader<D> {
    /// Every row.
    fn list<T>(
        &self,
        statement: &'static Statement,
        params: &[Value<'_>],
        read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.list_text(statement, statement.sql, params, read)
    }

    /// Every row of a statement whose text was put together.
    fn list_text<T>(
        &self,
        statement: &'static Statement,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        statement.ran(D::ENGINE);
        let mut rows = Vec::new();
        self.0.each(sql, params, &mut |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The row, if there is one.
    fn one<T>(
        &self,
        statement: &'static Statement,
        params: &[Value<'_>],
        read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.list(statement, params, read)?.pop())
    }
}

/// A number of rows as a parameter.
fn limit(rows: usize) -> Value<'static> {
    Value::Int(i64::try_from(rows).unwrap_or(i64::MAX))
}
