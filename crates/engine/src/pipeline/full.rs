//! A disk that is full: nothing is written any more but what ends work or makes space.
//!
//! For that the space of a reserve is given up. It is taken again before anything else is written, so that the next full disk
//! finds it there.

use super::Pipeline;
use super::op::{Op, Reply, Wish};
use everloop_store::error::StoreError;
use everloop_store::work::Row;
use everloop_types::error::{Code, Refusal};
use everloop_worker::source::AttemptEnd;
use std::time::Duration;

/// How often it is looked whether there is space again.
const LOOK: Duration = Duration::from_secs(1);

/// Whether the disk is full.
#[derive(Debug, Default)]
pub(super) struct Full {
    /// When it was last looked at, by the monotonic clock; none while there is space.
    since: Option<Duration>,
}

impl Op {
    /// Whether it is done even when the disk is full: it needs little and ends work, makes space, or writes nothing at all.
    fn is_relief(&self) -> bool {
        match self {
            Self::Wish { wish: Wish::Cancel { .. }, .. }
            | Self::Delete { .. }
            | Self::Fold { .. }
            | Self::Trim { .. }
            | Self::Forget { .. }
            | Self::Claim { .. }
            | Self::Renew { .. }
            | Self::Barrier => true,
            Self::Rows(rows) => rows.iter().all(|row| {
                matches!(
                    row,
                    Row::BlobDelete { .. } | Row::KeysSweep { .. } | Row::JobPut(_) | Row::WorkerDelete(_)
                )
            }),
            Self::Write { write, .. } => matches!(write.end, Some(AttemptEnd::Cancelled)),
            _ => false,
        }
    }
}

fn refusal() -> Refusal {
    Refusal::new(Code::StorageFull, "the disk of the server is full; only cancelling and deleting work")
        .hint("make space on the disk, or delete finished tasks; the server goes on by itself then")
        .retry_after_ms(5_000)
}

impl Pipeline {
    pub(super) fn is_full(&self) -> bool {
        self.full.since.is_some()
    }

    /// The disk has no space: gives up the reserve, and gives back what is done all the same. None where that was tried
    /// before, or there is no reserve.
    pub(super) fn fill_up(&mut self, ops: &mut Vec<(Op, Reply)>) -> Option<Vec<(Op, Reply)>> {
        if self.is_full() {
            return None;
        }
        let reserve = self.parts.reserve.as_ref()?;
        if let Err(error) = reserve.release() {
            tracing::error!(%error, "the reserve of the disk could not be given up");
            return None;
        }
        tracing::error!("the disk is full: only cancelling and deleting is done until there is space again");
        self.full.since = Some(self.parts.clock.monotonic());
        Some(self.relief(std::mem::take(ops)))
    }

    /// Refuses what is not done while the disk is full, after a look whether it still is.
    pub(super) fn relieved(&mut self, ops: Vec<(Op, Reply)>) -> Vec<(Op, Reply)> {
        let Some(since) = self.full.since else { return ops };
        let now = self.parts.clock.monotonic();
        if now.saturating_sub(since) >= LOOK {
            match self.parts.reserve.as_ref().map(|reserve| reserve.hold()) {
                Some(Ok(())) | None => {
                    tracing::info!("the disk has space again");
                    self.full.since = None;
                    return ops;
                }
                Some(Err(StoreError::Full(_))) => self.full.since = Some(now),
                Some(Err(error)) => {
                    tracing::warn!(%error, "the reserve of the disk could not be taken");
                    self.full.since = Some(now);
                }
            }
        }
        self.relief(ops)
    }

    fn relief(&mut self, ops: Vec<(Op, Reply)>) -> Vec<(Op, Reply)> {
        let (kept, refused): (Vec<_>, Vec<_>) = ops.into_iter().partition(|(op, _)| op.is_relief());
        for (_, reply) in refused {
            let _ = reply.send(Err(refusal()));
        }
        kept
    }
}
