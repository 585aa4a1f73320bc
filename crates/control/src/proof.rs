//! Receipts, exports and public keys.

use crate::caller::Caller;
use crate::control::Control;
use crate::tasks::no_task;
use everloop_journal::keys::{Jwks, PublicKey};
use everloop_journal::{chain, export, receipt};
use everloop_store::error::StoreError;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::Event;
use everloop_types::id::{TaskId, TenantId};
use everloop_types::limits;
use everloop_types::receipt::ReceiptClaims;
use everloop_types::stream::StreamName;

/// The receipt of a finished task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The compact JWS.
    pub jws: String,
    /// What is signed in it.
    pub claims: ReceiptClaims,
}

pub(crate) fn not_finished(id: TaskId, state: everloop_types::state::State) -> Refusal {
    Refusal::new(Code::NotFinished, format!("task {id} is {state}"))
        .hint(format!("wait for its end: GET {}?wait=60s", format_args!("/api/v1/tasks/{id}")))
}

impl Control {
    /// The receipt of a task.
    ///
    /// # Errors
    /// `not_finished` while it lives.
    pub async fn receipt(&self, caller: &Caller, id: TaskId) -> Result<Receipt, Refusal> {
        let tenant = caller.tenant;
        let found = self
            .engine()
            .read(move |store| {
                let Some(row) = store.task(tenant, id)? else { return Ok(None) };
                let last = store.event(tenant, StreamName::Task(id), row.head.seq)?;
                Ok(Some((row, last)))
            })
            .await?;
        let (row, last) = found.ok_or_else(|| no_task(id))?;
        if !row.task.state.is_terminal() {
            return Err(not_finished(id, row.task.state));
        }
        let claims = last.as_ref().and_then(|last| receipt::claims_of(last, &row.task.spec.kind));
        match (claims, row.signature) {
            (Some(claims), Some(signature)) => {
                let jws = receipt::assemble(&signature.kid, &claims, &signature.bytes);
                // The signature stands beside the history, and no hash covers it: it is its own check.
                if let Err(error) = receipt::verify::<ReceiptClaims>(&jws, &self.public_keys().await?) {
                    let what = format!("the signature of the receipt of task {id}: {error}");
                    let damaged = StoreError::Corrupt { what };
                    tracing::error!(error = %damaged, "a receipt is not given");
                    return Err(damaged.refusal());
                }
                Ok(Receipt { jws, claims })
            }
            _ => {
                tracing::error!(task = %id, "a finished task has no signature or no terminal event");
                Err(Refusal::new(Code::Internal, format!("the receipt of task {id} is missing")))
            }
        }
    }

    /// Exports a task's stream, piece by piece.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn export(&self, caller: &Caller, id: TaskId) -> Result<Export, Refusal> {
        let row = self.row(caller, id).await?;
        let receipt = match row.task.state.is_terminal() {
            true => Some(self.receipt(caller, id).await?.jws),
            false => None,
        };
        let (tenant, stream) = (caller.tenant, StreamName::Task(id));
        let anchor = self.engine().read(move |store| store.anchor(tenant, stream)).await?;
        let after = anchor.as_ref().map_or(0, |(seq, _)| *seq);
        Ok(Export {
            control: self.clone(),
            tenant,
            stream,
            anchor: anchor.map(|(_, jws)| jws),
            after,
            last: row.head.seq,
            receipt,
        })
    }

    /// The public keys of the installation, as a JWKS.
    ///
    /// # Errors
    /// If the database can't be read.
    pub async fn jwks(&self) -> Result<String, Refusal> {
        Ok(self.public_keys().await?.to_json())
    }

    async fn public_keys(&self) -> Result<Jwks, Refusal> {
        let rows = self.engine().read(|store| store.signing_keys()).await?;
        let own = self.engine().signing_key().public().clone();
        let mut keys: Vec<PublicKey> =
            rows.iter().filter_map(|row| PublicKey::from_bytes(&row.public).ok()).collect();
        if !keys.iter().any(|key| key.kid() == own.kid()) {
            keys.push(own);
        }
        Ok(Jwks::new(keys))
    }
}

/// A stream on its way out: the anchor where it was trimmed, a line per event, the receipt where the task has ended.
pub struct Export {
    control: Control,
    tenant: TenantId,
    stream: StreamName,
    anchor: Option<String>,
    after: u64,
    last: u64,
    receipt: Option<String>,
}

impl Export {
    /// The next lines; none when all were given.
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn next(&mut self) -> Result<Option<String>, Refusal> {
        if let Some(anchor) = self.anchor.take() {
            return Ok(Some(export::anchor_line(&anchor) + "\n"));
        }
        if self.after < self.last {
            let (tenant, stream, after) = (self.tenant, self.stream, self.after);
            let left = usize::try_from(self.last - after).unwrap_or(usize::MAX);
            let limit = limits::PAGE_EVENTS.min(left);
            let events: Vec<Event> =
                self.control.engine().read(move |store| store.events(tenant, stream, after, limit)).await?;
            if let Some(last) = events.last() {
                self.after = last.seq;
                let mut lines = String::with_capacity(events.len() * 512);
                for event in &events {
                    chain::write_json(&mut lines, event);
                    lines.push('\n');
                }
                return Ok(Some(lines));
            }
            // The stream was deleted meanwhile: what was given is cut, and says so by having no receipt.
            self.after = self.last;
            self.receipt = None;
        }
        Ok(self.receipt.take().map(|jws| export::receipt_line(&jws) + "\n"))
    }
}
