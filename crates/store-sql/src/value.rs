//! Values that go into a statement and rows that come out, the same for both engines.

use everloop_store::error::StoreError;
use everloop_types::time::Timestamp;

/// A parameter of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    /// Any integer.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A row that a statement gave. Columns are counted from 0.
pub(crate) trait Row {
    /// An integer or null.
    fn int_opt(&self, column: usize) -> Result<Option<i64>, StoreError>;
    /// Text or null.
    fn text_opt(&self, column: usize) -> Result<Option<&str>, StoreError>;
    /// Bytes or null.
    fn bytes_opt(&self, column: usize) -> Result<Option<&[u8]>, StoreError>;

    /// An integer.
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.int_opt(column)?.ok_or_else(|| null(column))
    }
    /// Text.
    fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.text_opt(column)?.ok_or_else(|| null(column))
    }
    /// Bytes.
    fn bytes(&self, column: usize) -> Result<&[u8], StoreError> {
        self.bytes_opt(column)?.ok_or_else(|| null(column))
    }
}

fn null(column: usize) -> StoreError {
    corrupt(format!("column {column} of a row is null"))
}

/// What is stored can't be read.
pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into() }
}

/// Bytes of a fixed length: an id, a hash, a salt.
pub(crate) fn array<const N: usize>(row: &dyn Row, column: usize) -> Result<[u8; N], StoreError> {
    let bytes = row.bytes(column)?;
    bytes
        .try_into()
        .map_err(|_| corrupt(format!("column {column} of a row has {} bytes, not {N}", bytes.len())))
}

/// The same, or null.
pub(crate) fn array_opt<const N: usize>(row: &dyn Row, column: usize) -> Result<Option<[u8; N]>, StoreError> {
    row.bytes_opt(column)?.map(|_| array(row, column)).transpose()
}

/// An integer that must fit.
pub(crate) fn number<T: TryFrom<i64>>(row: &dyn Row, column: usize) -> Result<T, StoreError> {
    let found = row.int(column)?;
    T::try_from(found).map_err(|_| corrupt(format!("column {column} of a row holds {found}")))
}

/// A time.
pub(crate) fn time(row: &dyn Row, column: usize) -> Result<Timestamp, StoreError> {
    row.int(column).map(Timestamp::from_micros)
}

/// A row without its first columns.
pub(crate) struct Behind<'a>(pub(crate) &'a dyn Row, pub(crate) usize);

impl Row for Behind<'_> {
    fn int_opt(&self, column: usize) -> Result<Option<i64>, StoreError> {
        self.0.int_opt(column + self.1)
    }

    fn text_opt(&self, column: usize) -> Result<Option<&str>, StoreError> {
        self.0.text_opt(column + self.1)
    }

    fn bytes_opt(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        self.0.bytes_opt(column + self.1)
    }
}
