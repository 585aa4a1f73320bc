//! Writing an archive.

use super::{
    ABOUT, About, Anchor, ArchiveError, Begin, FORMAT, Line, MANIFEST, Manifest, Member, SIGNING_KEY, VERSION,
};
use everloop_journal::{chain, digest, hex};
use everloop_store::error::StoreError;
use everloop_store::port::{Blob, Order, ReadStore, Snapshot, TaskFilter};
use everloop_store::rows::{BlobRow, TaskRow};
use everloop_store::work::Row;
use everloop_types::event::Head;
use everloop_types::id::{TaskId, TenantId};
use everloop_types::limits;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use std::collections::HashSet;
use std::io::Write;

/// Bytes of lines in one member, more or less.
const PART: usize = 4 * 1024 * 1024;
/// Tasks that are read at once.
const TASKS: usize = 200;

/// What is backed up.
pub struct Source<'a> {
    /// The database.
    pub store: &'a dyn ReadStore,
    /// The bytes of its blobs.
    pub blobs: &'a dyn Blob,
    /// The text of the private key, where it shall be in the archive.
    pub signing_key: Option<&'a str>,
}

/// Writes an archive of everything, as it is at this moment.
///
/// # Errors
/// If the database or a blob can't be read, or the archive can't be written.
pub fn write(source: &Source<'_>, now: Timestamp, out: impl Write) -> Result<Manifest, ArchiveError> {
    let snapshot = source.store.snapshot()?;
    let mut out = Archive::new(out);
    let about =
        About { format: FORMAT.to_owned(), v: VERSION, installation: snapshot.installation()?, made_at: now };
    out.member(ABOUT, &text(&about)?)?;
    for tenant in snapshot.tenants()? {
        streams(&*snapshot, tenant.id, &mut out)?;
    }
    out.end_part()?;
    rows(source, &*snapshot, &mut out)?;
    out.end_part()?;
    if let Some(key) = source.signing_key {
        out.member(SIGNING_KEY, key.as_bytes())?;
        out.manifest.signing_key = true;
    }
    out.finish()
}

fn text(value: &impl serde::Serialize) -> Result<Vec<u8>, ArchiveError> {
    serde_json::to_vec(value).map_err(|error| ArchiveError::Store(StoreError::Bug(error.into())))
}

fn streams(
    snapshot: &dyn Snapshot,
    tenant: TenantId,
    out: &mut Archive<impl Write>,
) -> Result<(), ArchiveError> {
    let mut after: Option<TaskId> = None;
    loop {
        let page = snapshot.tasks(tenant, &TaskFilter::default(), Order::Oldest, after.into(), TASKS)?;
        let Some(last) = page.last() else { break };
        after = Some(last.task.id);
        for row in page {
            let (name, head) = (StreamName::Task(row.task.id), row.head);
            stream(snapshot, tenant, name, head, Some(row), out)?;
        }
    }
    for segment in 1..=snapshot.audit_segment(tenant)?.unwrap_or(0) {
        let name = StreamName::Audit(tenant, segment);
        if let Some(head) = snapshot.head(tenant, name)? {
            stream(snapshot, tenant, name, head, None, out)?;
        }
    }
    Ok(())
}

fn stream(
    snapshot: &dyn Snapshot,
    tenant: TenantId,
    name: StreamName,
    head: Head,
    row: Option<TaskRow>,
    out: &mut Archive<impl Write>,
) -> Result<(), ArchiveError> {
    let anchor = snapshot.anchor(tenant, name)?.map(|(upto_seq, jws)| Anchor { upto_seq, jws });
    let mut after = anchor.as_ref().map_or(0, |anchor| anchor.upto_seq);
    let (task, data_subject, signature) = match row {
        Some(row) => (Some(row.task), row.data_subject, row.signature),
        None => (None, None, None),
    };
    let begin = Begin {
        tenant,
        stream: name.to_string(),
        last_seq: head.seq,
        hash: hex::encode(&head.hash),
        task,
        data_subject,
        signature,
        anchor,
    };
    out.line("streams", &text(&Line::Begin(Box::new(begin)))?)?;
    out.manifest.streams += 1;
    loop {
        let page = snapshot.events(tenant, name, after, limits::PAGE_EVENTS)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        out.manifest.events += page.len() as u64;
        for event in &page {
            out.line("streams", chain::to_json(event).as_bytes())?;
        }
    }
}

fn rows(
    source: &Source<'_>,
    snapshot: &dyn Snapshot,
    out: &mut Archive<impl Write>,
) -> Result<(), ArchiveError> {
    for (_, lane) in snapshot.lanes()? {
        out.line("rows", &text(&Line::Lane(lane))?)?;
        out.manifest.rows += 1;
    }
    let mut failed = None;
    let mut swept = HashSet::new();
    let read = snapshot.rows(&mut |row| {
        let written = match &row {
            Row::BlobPut(blob) => match bytes_of(source, blob) {
                Ok(Some(bytes)) => out.blob(blob, &bytes).and_then(|()| out.row(&row)),
                Ok(None) => {
                    swept.insert((blob.tenant, blob.id.clone()));
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Row::BlobUse { blob, tenant, .. } if swept.contains(&(*tenant, blob.clone())) => Ok(()),
            _ => out.row(&row),
        };
        written.map_err(|error| {
            failed = Some(error);
            StoreError::Unavailable("the archive could not be written".into())
        })
    });
    match (failed, read) {
        (Some(error), _) => Err(error),
        (None, read) => Ok(read?),
    }
}

/// The bytes of a blob; none if it was swept after the moment that the archive shows.
fn bytes_of(source: &Source<'_>, blob: &BlobRow) -> Result<Option<Vec<u8>>, ArchiveError> {
    if let Some(bytes) = source.blobs.get(blob.tenant, &blob.id)? {
        return Ok(Some(bytes));
    }
    if source.store.blob(blob.tenant, &blob.id)?.is_some() {
        let what = format!("the bytes of the blob {} of {} are missing", blob.id, blob.tenant);
        return Err(StoreError::Corrupt { what }.into());
    }
    Ok(None)
}

/// An archive that is being written.
struct Archive<W: Write> {
    tar: tar::Builder<W>,
    /// Lines of the part that is not written yet, and what kind of part it is.
    part: Vec<u8>,
    kind: &'static str,
    parts: u32,
    manifest: Manifest,
}

impl<W: Write> Archive<W> {
    fn new(out: W) -> Self {
        Self {
            tar: tar::Builder::new(out),
            part: Vec::new(),
            kind: "",
            parts: 0,
            manifest: Manifest::default(),
        }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        // There are secrets in it.
        header.set_mode(0o600);
        header.set_mtime(0);
        self.tar.append_data(&mut header, name, bytes)?;
        Ok(())
    }

    fn member(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.append(name, bytes)?;
        let sha256 = hex::encode(&digest::sha256(bytes));
        self.manifest.members.push(Member { name: name.to_owned(), bytes: bytes.len() as u64, sha256 });
        Ok(())
    }

    fn line(&mut self, kind: &'static str, line: &[u8]) -> Result<(), ArchiveError> {
        self.kind = kind;
        self.part.extend_from_slice(line);
        self.part.push(b'\n');
        if self.part.len() >= PART { self.end_part() } else { Ok(()) }
    }

    fn end_part(&mut self) -> Result<(), ArchiveError> {
        if self.part.is_empty() {
            return Ok(());
        }
        self.parts += 1;
        let (name, part) = (format!("{}/{:08}.jsonl", self.kind, self.parts), std::mem::take(&mut self.part));
        self.member(&name, &part)
    }

    fn row(&mut self, row: &Row) -> Result<(), ArchiveError> {
        self.manifest.rows += 1;
        self.line("rows", &text(&Line::Row(row.clone()))?)
    }

    fn blob(&mut self, blob: &BlobRow, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.manifest.blobs += 1;
        self.member(&format!("blobs/{}/{}", blob.tenant, blob.id), bytes)
    }

    fn finish(mut self) -> Result<Manifest, ArchiveError> {
        let manifest = text(&self.manifest)?;
        self.append(MANIFEST, &manifest)?;
        self.tar.into_inner()?.flush()?;
        Ok(self.manifest)
    }
}
