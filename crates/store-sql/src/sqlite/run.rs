//! Running statements on a connection.

use super::error::classify;
use crate::statement::{Engine, Statement};
use crate::value::{Row, Value};
use everloop_store::error::StoreError;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Params, ToSql};

/// The statements that one call of the writer has used so far: each is looked up once.
pub(super) struct Run<'c> {
    connection: &'c Connection,
    slots: Vec<Option<CachedStatement<'c>>>,
}

impl<'c> Run<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(super::sql::ALL.len(), || None);
        Self { connection, slots }
    }

    fn statement(&mut self, statement: &'static Statement) -> Result<&mut CachedStatement<'c>, StoreError> {
        let slot = &mut self.slots[statement.slot];
        match slot {
            Some(found) => Ok(found),
            None => {
                statement.ran(Engine::Sqlite);
                Ok(slot.insert(self.connection.prepare_cached(statement.sql).map_err(classify)?))
            }
        }
    }

    /// Runs a statement that gives no rows; says how many it changed.
    pub(super) fn execute(
        &mut self,
        statement: &'static Statement,
        params: impl Params,
    ) -> Result<u64, StoreError> {
        self.statement(statement)?.execute(params).map(|rows| rows as u64).map_err(classify)
    }

    /// Takes rows until `take` says that it has enough.
    pub(super) fn each(
        &mut self,
        statement: &'static Statement,
        params: impl Params,
        mut take: impl FnMut(&dyn Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut rows = self.statement(statement)?.query(params).map_err(classify)?;
        while let Some(row) = rows.next().map_err(classify)? {
            if !take(&SqliteRow(row))? {
                break;
            }
        }
        Ok(())
    }

    /// The first row.
    pub(super) fn one<T>(
        &mut self,
        statement: &'static Statement,
        params: impl Params,
        mut read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.each(statement, params, |row| {
            found = Some(read(row)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// Whether there is a row.
    pub(super) fn exists(
        &mut self,
        statement: &'static Statement,
        params: impl Params,
    ) -> Result<bool, StoreError> {
        Ok(self.one(statement, params, |_| Ok(()))?.is_some())
    }
}

/// A row of SQLite.
pub(super) struct SqliteRow<'a, 'b>(pub(super) &'a rusqlite::Row<'b>);

impl SqliteRow<'_, '_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, StoreError> {
        self.0.get_ref(column).map_err(classify)
    }
}

fn wrong<E: Into<everloop_store::error::Source>>(error: E) -> StoreError {
    StoreError::Bug(error.into())
}

impl Row for SqliteRow<'_, '_> {
    fn int_opt(&self, column: usize) -> Result<Option<i64>, StoreError> {
        self.value(column)?.as_i64_or_null().map_err(wrong)
    }

    fn text_opt(&self, column: usize) -> Result<Option<&str>, StoreError> {
        self.value(column)?.as_str_or_null().map_err(wrong)
    }

    fn bytes_opt(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        self.value(column)?.as_blob_or_null().map_err(wrong)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
