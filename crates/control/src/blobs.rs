//! Blobs.

use crate::caller::Caller;
use crate::control::Control;
use everloop_types::blob::BlobName;
use everloop_types::error::{FieldError, Refusal};
use everloop_types::id::TenantId;
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::names::is_line;

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
        if media_type.is_empty() || !is_line(&media_type, limits::KEY_CHARS) {
            return Err(Refusal::field("Content-Type", "must be a media type such as application/pdf"));
        }
        self.engine().blob_put(caller.tenant, media_type, bytes).await
    }

    /// The bytes of a blob, and what names it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn blob_get(&self, caller: &Caller, id: &str) -> Result<(BlobName, Vec<u8>), Refusal> {
        let shown: String = id.chars().take(64).collect();
        let found = self.engine().blob(caller.tenant, id).await?;
        found.ok_or_else(|| Refusal::not_found(format!("blob {shown:?}")))
    }

    /// Puts a value that is too large for an event into a blob, and its name in its place.
    ///
    /// # Errors
    /// As [`Control::blob_put`]; the field is named.
    pub(crate) async fn fit(
        &self,
        tenant: TenantId,
        value: Option<&mut Json>,
        room: usize,
        field: &str,
    ) -> Result<(), Refusal> {
        let Some(value) = value.filter(|value| value.len() > room) else { return Ok(()) };
        let bytes = value.len();
        self.engine().outsource(tenant, value).await.map_err(|refusal| {
            let message = format!("has {bytes} bytes and could not be put into a blob");
            let errors = vec![FieldError { field: field.to_owned(), message }];
            Refusal { errors, ..refusal }
        })
    }
}
