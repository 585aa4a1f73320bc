//! Blobs: bytes beside the database, and the rows that know of them.
//!
//! Bytes are durable before the row that knows of them, and the row is there before an event names it. A sweep takes the row
//! first, which fails if an event names it by then, and the bytes after it. Putting and sweeping keep out of each other's
//! way: else the bytes of a blob that is put again could go after its new row was written.

use crate::pipeline::Handle;
use crate::pipeline::op::Op;
use crate::reads::Reads;
use everloop_journal::digest::{self, TenantSecret};
use everloop_store::error::StoreError;
use everloop_store::port::{Blob, ReadStore};
use everloop_store::rows::BlobRow;
use everloop_store::work::Row;
use everloop_types::blob::BlobName;
use everloop_types::error::Refusal;
use everloop_types::id::TenantId;
use everloop_types::limits;
use everloop_types::time::Timestamp;
use std::sync::Arc;
use tokio::sync::RwLock;

/// The blobs of an installation.
pub struct Blobs {
    port: Arc<dyn Blob>,
    reads: Reads,
    /// Putting reads it, sweeping writes it.
    gate: RwLock<()>,
}

/// What names a blob in a value.
pub fn name_of(row: &BlobRow) -> BlobName {
    BlobName {
        hash: digest::blob_hash(&row.salt, &row.inner),
        id: row.id.clone(),
        media_type: row.media_type.clone(),
        size: row.size,
    }
}

/// Whether a name is that of the blob, whatever media type it says.
pub fn is_named(row: &BlobRow, name: &BlobName) -> bool {
    let own = name_of(row);
    (own.id, own.hash, own.size) == (name.id.clone(), name.hash.clone(), name.size)
}

impl Blobs {
    pub(crate) fn new(port: Arc<dyn Blob>, reads: Reads) -> Self {
        Self { port, reads, gate: RwLock::new(()) }
    }

    /// Keeps bytes, durably. Equal bytes of a tenant are kept once: then what is known of them stays as it is. `salt` is for
    /// the hash of new ones.
    ///
    /// # Errors
    /// If they can't be kept.
    pub(crate) async fn put(
        &self,
        pipeline: &Handle,
        tenant: TenantId,
        media_type: String,
        bytes: Vec<u8>,
        salt: [u8; 16],
        put_at: Timestamp,
    ) -> Result<BlobName, Refusal> {
        let _open = self.gate.read().await;
        let (port, new_type) = (self.port.clone(), media_type.clone());
        let put = move |store: &dyn ReadStore| {
            let Some(owner) = store.tenants()?.into_iter().find(|row| row.id == tenant) else {
                return Err(StoreError::Bug(format!("there is no tenant {tenant}").into()));
            };
            let (inner, size) = (digest::sha256(&bytes), bytes.len() as u64);
            let id = digest::blob_id(&TenantSecret::new(owner.secret), &inner);
            port.put(tenant, &id, &bytes)?;
            Ok(match store.blob(tenant, &id)? {
                Some(known) => BlobRow { put_at, ..known },
                None => BlobRow { id, tenant, size, media_type: new_type, inner, salt, put_at },
            })
        };
        let row = self.reads.read(put).await.map_err(|error| error.refusal())?;
        let name = BlobName { media_type, ..name_of(&row) };
        if let Err(refusal) = pipeline.ask(Op::Rows(vec![Row::BlobPut(row)])).await {
            self.unknown(tenant, name.id).await;
            return Err(refusal);
        }
        Ok(name)
    }

    /// Removes bytes that no row has come to know of: nothing would find them later.
    async fn unknown(&self, tenant: TenantId, id: String) {
        let port = self.port.clone();
        let remove = move |store: &dyn ReadStore| match store.blob(tenant, &id)? {
            None => port.delete(tenant, &id),
            Some(_) => Ok(()),
        };
        if let Err(error) = self.reads.read(remove).await {
            tracing::warn!(%error, "bytes of a blob without a row could not be removed");
        }
    }

    /// The bytes of a blob, and what names it.
    ///
    /// # Errors
    /// If they can't be read.
    pub(crate) async fn get(
        &self,
        tenant: TenantId,
        id: String,
    ) -> Result<Option<(BlobName, Vec<u8>)>, StoreError> {
        let port = self.port.clone();
        let get = move |store: &dyn ReadStore| {
            let Some(row) = store.blob(tenant, &id)? else { return Ok(None) };
            Ok(port.get(tenant, &id)?.map(|bytes| (name_of(&row), bytes)))
        };
        self.reads.read(get).await
    }

    /// Removes a page of blobs that no event has named for an hour; gives whether there may be more.
    ///
    /// # Errors
    /// If the store can't be read or written.
    pub(crate) async fn sweep(
        &self,
        pipeline: &Handle,
        now: Timestamp,
        page: usize,
    ) -> Result<bool, StoreError> {
        let _shut = self.gate.write().await;
        let before = now.minus(limits::BLOB_UNNAMED);
        let unused = self.reads.read(move |store| store.blobs_unused(before, page)).await?;
        if unused.is_empty() {
            return Ok(false);
        }
        let delete = |row: &BlobRow| Row::BlobDelete { blob: row.id.clone(), tenant: row.tenant };
        let rows = unused.iter().map(delete).collect();
        if let Err(refusal) = pipeline.ask(Op::Rows(rows)).await {
            return Err(StoreError::Unavailable(refusal.to_string().into()));
        }
        let (port, more) = (self.port.clone(), unused.len() == page);
        let remove = move |store: &dyn ReadStore| {
            for row in &unused {
                // One that was named meanwhile has kept its row.
                if store.blob(row.tenant, &row.id)?.is_none() {
                    port.delete(row.tenant, &row.id)?;
                }
            }
            Ok(())
        };
        self.reads.read(remove).await?;
        Ok(more)
    }
}
