//! A connection with its prepared statements, and pipelines over it.

use super::error::{classify, ends_connection};
use crate::statement::{Engine, Statement};
use crate::value::{Row as Columns, Value};
use bytes::BytesMut;
use everloop_store::error::StoreError;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Runtime;

use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Row};

/// Lists put together from filters are kept prepared up to this number.
const CACHED_TEXTS: usize = 100;

/// How long the process of a lost connection is waited for once it was told to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A parameter.
pub(super) type Param<'a> = Box<dyn ToSql + Sync + 'a>;

/// One message of a pipeline.
pub(super) enum Call<'a> {
    /// Words without parameters: BEGIN, COMMIT.
    Words(&'static str),
    /// A statement.
    Run(&'static Statement, Vec<Param<'a>>),
}

/// What came back for one.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    pub(super) changed: u64,
}

/// Which call failed, and how.
pub(super) struct CallError {
    /// Whether it was the last one of the pipeline.
    pub(super) last: bool,
    pub(super) error: Error,
}

/// A connection.
pub(super) struct Session {
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    prepared: HashMap<String, tokio_postgres::Statement>,
    /// Whether an error has ended it.
    broken: bool,
    /// The server's process behind it, where that was asked for.
    backend: Option<Backend>,
}

/// A process of the server: its number, and when it began, since numbers come again.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pid: i32,
    began: String,
}

impl Backend {
    /// The one behind a connection.
    pub(super) async fn of(client: &Client) -> Result<Self, Error> {
        let sql = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let row = client.query_one(sql, &[]).await?;
        Ok(Self { pid: row.try_get(0)?, began: row.try_get(1)? })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A plain drop waits, which is not allowed where the last reader may be dropped.
            runtime.shutdown_background();
        }
    }
}

impl Session {
    pub(super) fn new(runtime: Runtime, client: Client, backend: Option<Backend>) -> Self {
        Self { runtime: Some(runtime), client, prepared: HashMap::new(), broken: false, backend }
    }

    /// The server's process behind it.
    pub(super) fn backend(&self) -> Option<Backend> {
        self.backend.clone()
    }

    /// Ends the process of a connection that was lost: it may hold locks yet, or be about to commit.
    pub(super) fn end(&mut self, lost: &Backend) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT pg_terminate_backend(pid, {}) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2",
            END_TIMEOUT.as_millis()
        );
        let params: [&(dyn ToSql + Sync); 2] = [&lost.pid, &lost.began];
        let rows = self.wait(self.client.query(&sql, &params))?;
        let rows = self.note(rows).map_err(classify)?;
        match rows.iter().all(|row| row.try_get(0).unwrap_or(false)) {
            true => Ok(()),
            false => Err(StoreError::Unavailable(
                "what a lost connection had begun is still under way in PostgreSQL".into(),
            )),
        }
    }

    /// Whether it can't be used any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken || self.client.is_closed()
    }

    fn note<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.broken |= ends_connection(error);
        }
        result
    }

    /// Waits for what the connection answers.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, StoreError> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.block_on(future)),
            None => Err(StoreError::Bug("a connection without a runtime".into())),
        }
    }

    /// Statements without parameters, one after the other.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        let done = self.wait(self.client.batch_execute(sql))?;
        self.note(done).map_err(classify)
    }

    /// Sends every call before the first answer has come, and gives the answers in order, or the first error.
    pub(super) fn pipeline(
        &mut self,
        calls: &[Call<'_>],
    ) -> Result<Result<Vec<Answer>, CallError>, StoreError> {
        let texts: Vec<&str> = calls
            .iter()
            .filter_map(|call| if let Call::Run(statement, _) = call { Some(statement.sql) } else { None })
            .collect();
        self.prepare(&texts)?;
        let (client, prepared) = (&self.client, &self.prepared);
        let futures = calls.iter().map(|call| one(client, prepared, call)).collect();
        let results = self.wait(Together::new(futures))?;
        let mut answers = Vec::with_capacity(results.len());
        for (place, result) in results.into_iter().enumerate() {
            match self.note(result) {
                Ok(answer) => answers.push(answer),
                Err(error) => return Ok(Err(CallError { last: place + 1 == calls.len(), error })),
            }
        }
        Ok(Ok(answers))
    }

    /// Prepares what is not prepared yet, in one round trip.
    fn prepare(&mut self, texts: &[&str]) -> Result<(), StoreError> {
        let mut missing: Vec<&str> =
            texts.iter().copied().filter(|text| !self.prepared.contains_key(*text)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        missing.dedup();
        let futures = missing.iter().map(|text| boxed(self.client.prepare(text))).collect();
        let results = self.wait(Together::new(futures))?;
        for (text, result) in missing.into_iter().zip(results) {
            let statement = self.note(result).map_err(classify)?;
            self.prepared.insert(text.to_owned(), statement);
        }
        Ok(())
    }

    /// Runs one read whose text may have been put together.
    pub(super) fn read(&mut self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        if self.prepared.len() > super::sql::ALL.len() + crate::read::sql::ALL.len() + CACHED_TEXTS {
            self.prepared.clear();
        }
        self.prepare(&[sql])?;
        let Some(statement) = self.prepared.get(sql) else {
            return Err(StoreError::Bug("a statement was not prepared".into()));
        };
        let params: Vec<&(dyn ToSql + Sync)> =
            params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
        let rows = self.wait(self.client.query(statement, &params))?;
        self.note(rows).map_err(classify)
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

fn boxed<'a, T>(future: impl Future<Output = T> + 'a) -> Boxed<'a, T> {
    Box::pin(future)
}

fn one<'a>(
    client: &'a Client,
    prepared: &'a HashMap<String, tokio_postgres::Statement>,
    call: &'a Call<'_>,
) -> Boxed<'a, Result<Answer, Error>> {
    match call {
        Call::Words(sql) => boxed(async { client.batch_execute(sql).await.map(|()| Answer::default()) }),
        Call::Run(statement, params) => {
            statement.ran(Engine::Postgres);
            boxed(async move {
                let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as _).collect();
                match prepared.get(statement.sql) {
                    Some(known) if known.columns().is_empty() => client
                        .execute(known, &params)
                        .await
                        .map(|changed| Answer { rows: Vec::new(), changed }),
                    Some(known) => client.query(known, &params).await.map(|rows| Answer { rows, changed: 0 }),
                    // `prepare` came before.
                    None => {
                        client.query(statement.sql, &params).await.map(|rows| Answer { rows, changed: 0 })
                    }
                }
            })
        }
    }
}

/// Futures that are polled together and first polled in order: that is the order in which a connection sends them.
struct Together<'a, T> {
    running: Vec<Option<Boxed<'a, T>>>,
    done: Vec<Option<T>>,
}

impl<'a, T> Together<'a, T> {
    fn new(futures: Vec<Boxed<'a, T>>) -> Self {
        let done = futures.iter().map(|_| None).collect();
        Self { running: futures.into_iter().map(Some).collect(), done }
    }
}

impl<T: Unpin> Future for Together<'_, T> {
    type Output = Vec<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<T>> {
        let Self { running, done } = &mut *self;
        for (slot, done) in running.iter_mut().zip(done.iter_mut()) {
            if let Some(future) = slot
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
                *slot = None;
            }
        }
        if running.iter().any(Option::is_some) {
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(done).into_iter().flatten().collect())
    }
}

/// A row of PostgreSQL.
pub(super) struct PostgresRow<'a>(pub(super) &'a Row);

impl Columns for PostgresRow<'_> {
    fn int_opt(&self, column: usize) -> Result<Option<i64>, StoreError> {
        let found = match self.0.columns().get(column).map(|column| column.type_().clone()) {
            Some(Type::INT2) => self.0.try_get::<_, Option<i16>>(column).map(|found| found.map(i64::from)),
            Some(Type::INT4) => self.0.try_get::<_, Option<i32>>(column).map(|found| found.map(i64::from)),
            _ => self.0.try_get(column),
        };
        found.map_err(classify)
    }

    fn text_opt(&self, column: usize) -> Result<Option<&str>, StoreError> {
        self.0.try_get(column).map_err(classify)
    }

    fn bytes_opt(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        self.0.try_get(column).map_err(classify)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match (self, ty) {
            (Value::Int(number), &Type::INT2) => i16::try_from(*number)?.to_sql(ty, out),
            (Value::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Value::Int(number), _) => number.to_sql(ty, out),
            (Value::Text(text), _) => text.to_sql(ty, out),
            (Value::Bytes(bytes), _) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // The statements of the suite show that each parameter has the type of its column.
        true
    }

    to_sql_checked!();
}
