//! Everything that is no event and no record, page by page.

use super::{Database, Reader, limit, sql};
use crate::decode;
use crate::statement::Statement;
use crate::value::{Row as Columns, Value, array};
use everloop_store::error::StoreError;
use everloop_store::port::{InstallationRead, QueueRead, Read, Snapshot};
use everloop_store::work::Row;
use everloop_types::id::{TaskId, TenantId};

/// Rows that are in memory at once.
const PAGE: usize = 1_000;

type Each<'a> = &'a mut dyn FnMut(Row) -> Read<()>;

impl<D: Database> Reader<D> {
    /// Pages of a table that goes by one column of bytes.
    fn by_bytes<T>(
        &self,
        statement: &'static Statement,
        read: impl Fn(&dyn Columns) -> Result<T, StoreError>,
        key: impl Fn(&T) -> [u8; 16],
        row: impl Fn(T) -> Row,
        each: Each<'_>,
    ) -> Read<()> {
        let mut after: Vec<u8> = Vec::new();
        loop {
            let page = self.list(statement, &[Value::Bytes(&after), limit(PAGE)], &read)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = key(last).to_vec();
            page.into_iter().try_for_each(|found| each(row(found)))?;
        }
    }

    fn dependencies(&self, each: Each<'_>) -> Read<()> {
        let mut after = ([0; 16], [0; 16]);
        loop {
            let params = [Value::Bytes(&after.0), Value::Bytes(&after.1), limit(PAGE)];
            let page = self.list(&sql::ALL_DEPENDENCIES, &params, decode::dependency_row)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = (last.dependent.0, last.prerequisite.0);
            page.into_iter().try_for_each(|row| each(Row::DependencyPut(row)))?;
        }
    }

    fn blobs(&self, each: Each<'_>) -> Read<()> {
        let mut after = ([0; 16], String::new());
        loop {
            let params = [Value::Bytes(&after.0), Value::Text(&after.1), limit(PAGE)];
            let page = self.list(&sql::ALL_BLOBS, &params, decode::blob_row)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = (last.tenant.0, last.id.clone());
            page.into_iter().try_for_each(|row| each(Row::BlobPut(row)))?;
        }
    }

    fn blob_uses(&self, each: Each<'_>) -> Read<()> {
        let mut after = ([0; 16], String::new(), [0; 16]);
        loop {
            let params = [Value::Bytes(&after.0), Value::Text(&after.1), Value::Bytes(&after.2), limit(PAGE)];
            let page = self.list(&sql::ALL_BLOB_USES, &params, |row| {
                Ok((array(row, 0)?, row.text(1)?.to_owned(), array(row, 2)?))
            })?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.clone();
            page.into_iter().try_for_each(|(tenant, blob, task)| {
                each(Row::BlobUse { blob, tenant: TenantId(tenant), task: TaskId(task) })
            })?;
        }
    }
}

impl<D: Database> Snapshot for Reader<D> {
    fn rows(&self, each: Each<'_>) -> Read<()> {
        self.tenants()?.into_iter().map(Row::TenantPut).try_for_each(&mut *each)?;
        self.signing_keys()?.into_iter().map(Row::SigningKeyPut).try_for_each(&mut *each)?;
        for queue in self.paused_queues()? {
            each(Row::QueuePaused { queue, paused: true })?;
        }
        self.list(&sql::ALL_JOBS, &[], decode::job_row)?
            .into_iter()
            .map(Row::JobPut)
            .try_for_each(&mut *each)?;
        self.by_bytes(&sql::ALL_KEYS, decode::key_row, |key| key.hash, Row::KeyPut, each)?;
        self.by_bytes(&sql::ALL_QUEUE, decode::queue_row, |row| row.task.0, Row::QueuePut, each)?;
        self.by_bytes(&sql::ALL_LEASES, decode::lease_row, |row| row.task.0, Row::LeasePut, each)?;
        self.by_bytes(&sql::ALL_TIMERS, decode::timer_row, |row| row.task.0, Row::TimerPut, each)?;
        self.dependencies(each)?;
        self.by_bytes(&sql::ALL_OUTBOX, decode::outbox_row, |row| row.task.0, Row::OutboxPut, each)?;
        self.blobs(each)?;
        self.blob_uses(each)
    }
}
