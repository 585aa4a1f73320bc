//! Blobs.

use crate::caller::Caller;
use crate::control::Control;
use everloop_engine::pipeline::op::Op;
use everloop_journal::digest;
use everloop_store::rows::BlobRow;
use everloop_store::work::Row;
use everloop_types::error::{Code, Refusal};
use everloop_types::id::TenantId;
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::names::is_line;
use serde::Deserialize;

/// What names a blob in a value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobName {
    /// Its published hash.
    pub hash: String,
    /// Its id.
    pub id: String,
    /// What it is.
    pub media_type: String,
    /// How many bytes.
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(rename = "$blob")]
    blob: BlobName,
}

fn name_of(row: &BlobRow) -> BlobName {
    BlobName {
        hash: digest::blob_hash(&row.salt, &row.inner),
        id: row.id.clone(),
        media_type: row.media_type.clone(),
        size: row.size,
    }
}

impl Control {
    /// Keeps bytes, and gives what names them. Equal bytes of one tenant are kept once.
    ///
    /// # Errors
    /// `too_large`, or that they can't be kept.
    pub async fn blob_put(
        &self,
        caller: &Caller,
        media_type: String,
        bytes: Vec<u8>,
    ) -> Result<BlobName, Refusal> {
        let size = bytes.len() as u64;
        if size > limits::BLOB_BYTES {
            return Err(Refusal::new(
                Code::TooLarge,
                format!("the blob has {size} bytes; 64 MiB are allowed"),
            )
            .hint("keep it in object storage and give the task its address"));
        }
        if media_type.is_empty() || !is_line(&media_type, limits::KEY_CHARS) {
            return Err(Refusal::field("Content-Type", "must be a media type such as application/pdf"));
        }
        let secret = self.secret(caller.tenant).await?;
        let (tenant, port) = (caller.tenant, self.blob_port().clone());
        let (salt, put_at) = (self.engine().random().bytes16(), self.now());
        // Durable before any event can name it.
        let row = self
            .engine()
            .read(move |store| {
                let inner = digest::sha256(&bytes);
                let id = digest::blob_id(&secret, &inner);
                port.put(tenant, &id, &bytes)?;
                let known = store.blob(tenant, &id)?;
                Ok(match known {
                    Some(known) => BlobRow { put_at, ..known },
                    None => BlobRow { id, tenant, size, media_type, inner, salt, put_at },
                })
            })
            .await?;
        let name = name_of(&row);
        self.engine().ask(Op::Rows(vec![Row::BlobPut(row)])).await?;
        Ok(name)
    }

    /// The bytes of a blob, and what names it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn blob_get(&self, caller: &Caller, id: &str) -> Result<(BlobName, Vec<u8>), Refusal> {
        let (tenant, port, wanted) = (caller.tenant, self.blob_port().clone(), id.to_owned());
        let found = self
            .engine()
            .read(move |store| {
                let Some(row) = store.blob(tenant, &wanted)? else { return Ok(None) };
                Ok(port.get(tenant, &wanted)?.map(|bytes| (name_of(&row), bytes)))
            })
            .await?;
        let shown: String = id.chars().take(64).collect();
        found.ok_or_else(|| Refusal::not_found(format!("blob {shown:?}")))
    }

    /// A blob in a value must be the whole value, and one of the tenant's.
    pub(crate) async fn check_blob(
        &self,
        tenant: TenantId,
        value: Option<&Json>,
        field: &str,
    ) -> Result<(), Refusal> {
        // In canonical JSON a member of this name can't be written in another way.
        let Some(value) = value.filter(|value| value.as_str().contains("\"$blob\":")) else { return Ok(()) };
        let Ok(Whole { blob }) = value.parse::<Whole>() else {
            let message = "names a blob in a way that is not the answer to POST /api/v1/blobs; it must be the whole value";
            return Err(Refusal::field(field, message));
        };
        let id = blob.id.clone();
        let row = self.engine().read(move |store| store.blob(tenant, &id)).await?;
        match row {
            Some(row) if name_of(&row) == blob => Ok(()),
            Some(_) => {
                Err(Refusal::field(field, "names a blob with another hash, size or media type than it has"))
            }
            None => Err(Refusal::field(
                field,
                format!("names the blob {:?}, which is not there: put it first", blob.id),
            )),
        }
    }
}
