//! The installation, its tenants, keys and blobs.

use super::{Database, Reader, limit, sql};
use crate::decode;
use crate::value::{Value, array, corrupt, number, time};
use everloop_store::port::{InstallationRead, Read};
use everloop_store::rows::{BlobRow, Installation, JobRow, SigningKeyRow, TenantRow};
use everloop_types::id::{InstallationId, TenantId};
use everloop_types::time::Timestamp;

impl<D: Database> InstallationRead for Reader<D> {
    fn installation(&self) -> Read<Installation> {
        let found = self.one(&sql::INSTALLATION, &[], |row| {
            Ok(Installation {
                id: InstallationId(array(row, 0)?),
                epoch: number(row, 1)?,
                created_at: time(row, 2)?,
            })
        })?;
        found.ok_or_else(|| corrupt("the row of the installation is gone"))
    }

    fn tenants(&self) -> Read<Vec<TenantRow>> {
        self.list(&sql::TENANTS, &[], decode::tenant_row)
    }

    fn signing_keys(&self) -> Read<Vec<SigningKeyRow>> {
        self.list(&sql::SIGNING_KEYS, &[], decode::signing_key_row)
    }

    fn job(&self, name: &str) -> Read<Option<JobRow>> {
        self.one(&sql::JOB, &[Value::Text(name)], decode::job_row)
    }

    fn blob(&self, tenant: TenantId, id: &str) -> Read<Option<BlobRow>> {
        self.one(&sql::BLOB, &[Value::Bytes(&tenant.0), Value::Text(id)], decode::blob_row)
    }

    fn blobs_unused(&self, put_before: Timestamp, rows: usize) -> Read<Vec<BlobRow>> {
        self.list(&sql::BLOBS_UNUSED, &[Value::Int(put_before.as_micros()), limit(rows)], decode::blob_row)
    }

    fn ping(&self) -> Read<()> {
        self.list(&sql::PING, &[], |_| Ok(())).map(drop)
    }
}
