//! Writing an archive into an empty database.

use super::read::{self, Item, name_of};
use super::{ArchiveError, Begin, Manifest, damaged};
use everloop_journal::chain;
use everloop_store::port::{Blob, Order, Part, ReadStore, TaskFilter, WriteStore};
use everloop_store::rows::{Installation, JobRow, LeaseRow};
use everloop_store::work::{Row, StreamWrite, TaskWrite, WriteSet};
use everloop_types::event::Event;
use everloop_types::id::IncarnationId;
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use std::io::{Read, Seek};

/// The row that stands in a database while it is restored.
const JOB: &str = "restore";
/// Events and rows of one commit.
const COMMIT: usize = 1_000;

/// Where an archive is restored to.
pub struct Target<'a> {
    /// The readers of an empty database.
    pub store: &'a dyn ReadStore,
    /// Its writer.
    pub writer: &'a mut dyn WriteStore,
    /// Where the bytes of blobs go.
    pub blobs: &'a dyn Blob,
    /// Keeps the text of the private key, if it is in the archive, before the database can be served.
    pub keep_key: &'a mut dyn FnMut(&str) -> std::io::Result<()>,
}

/// Whether a restore into this database was cut short: then it must not be served.
///
/// # Errors
/// If it can't be read.
pub fn is_cut_short(store: &dyn ReadStore) -> Result<bool, ArchiveError> {
    Ok(store.job(JOB)?.is_some())
}

/// Checks an archive and writes it into an empty database. Tasks in mid-flight go on there: whoever held one has lost it,
/// because the installation begins a new epoch. Gives what was restored.
///
/// # Errors
/// What is wrong with the archive, and then nothing was written; that the database is not empty; or that it can't be written,
/// and then it is not of use any more.
pub fn restore(
    file: &mut (impl Read + Seek),
    target: Target<'_>,
    now: Timestamp,
) -> Result<Manifest, ArchiveError> {
    is_empty(target.store)?;
    read::check(file)?;
    let before = target.store.installation()?;
    let mut restoring =
        Restoring { target, installation: before, open: None, set: WriteSet::default(), size: (0, 0) };
    let begun = Row::JobPut(JobRow { name: JOB.to_owned(), ran_at: now, upto: None });
    restoring.set.rows.push(begun);
    restoring.commit()?;
    let manifest = read::walk(file, &mut |member, item| restoring.item(before, member, item))?;
    restoring.close()?;
    restoring.commit()?;
    let installation = Row::InstallationPut(restoring.installation);
    restoring.set.rows = vec![installation, Row::JobDelete(JOB.to_owned())];
    restoring.commit()?;
    Ok(manifest)
}

fn is_empty(store: &dyn ReadStore) -> Result<(), ArchiveError> {
    if is_cut_short(store)? {
        return Err(ArchiveError::NotEmpty("an earlier restore into it was cut short".to_owned()));
    }
    for tenant in store.tenants()? {
        let tasks = store.tasks(tenant.id, &TaskFilter::default(), Order::Oldest, Part::default(), 1)?;
        if !tasks.is_empty() || store.audit_segment(tenant.id)?.is_some() {
            return Err(ArchiveError::NotEmpty(format!("tenant {} has tasks, or had some", tenant.name)));
        }
    }
    Ok(())
}

/// A stream whose events come in.
struct Open {
    begin: Box<Begin>,
    name: StreamName,
    /// The last event that was handed to a commit.
    expected: u64,
    events: Vec<Event>,
}

struct Restoring<'a> {
    target: Target<'a>,
    /// As it will be.
    installation: Installation,
    open: Option<Open>,
    set: WriteSet,
    /// Events and rows of the set and the open stream, and about their bytes.
    size: (usize, usize),
}

impl Restoring<'_> {
    fn item(&mut self, before: Installation, member: &str, item: Item) -> Result<(), ArchiveError> {
        match item {
            Item::Installation(found) => {
                self.installation = Installation { epoch: found.epoch.max(before.epoch) + 1, ..found };
            }
            Item::Begin(begin) => {
                self.close()?;
                let name = name_of(&begin, member)?;
                self.open = Some(Open { begin, name, expected: 0, events: Vec::new() });
                self.grown(0)?;
            }
            Item::Event(event) => {
                let Some(open) = &mut self.open else {
                    return Err(damaged(member, "an event stands before its stream"));
                };
                let bytes = event.payload.as_ref().map_or(0, |payload| payload.data.len());
                open.events.push(*event);
                self.grown(bytes)?;
            }
            Item::Lane(lane) => {
                self.close()?;
                self.set.lanes.push(lane);
                self.grown(0)?;
            }
            Item::Row(row) => {
                self.close()?;
                let row = self.row(row);
                self.set.rows.push(row);
                self.grown(0)?;
            }
            Item::Blob { tenant, id, bytes } => self.target.blobs.put(tenant, &id, &bytes)?,
            Item::SigningKey(key) => (self.target.keep_key)(&key)?,
        }
        Ok(())
    }

    /// Nobody holds a lease here: its token is of this installation's new epoch and its holder of a run that is over, so that
    /// the first server to start gives the task to somebody else.
    fn row(&self, row: Row) -> Row {
        match row {
            Row::LeasePut(lease) => Row::LeasePut(LeaseRow {
                token: LeaseToken { epoch: self.installation.epoch, ..lease.token },
                incarnation: Some(IncarnationId(self.installation.id.0)),
                ..lease
            }),
            row => row,
        }
    }

    /// Commits once enough has come in.
    fn grown(&mut self, bytes: usize) -> Result<(), ArchiveError> {
        self.size.0 += 1;
        self.size.1 += bytes;
        if self.size.0 < COMMIT && self.size.1 < limits::COMMIT_BYTES {
            return Ok(());
        }
        self.hand_over();
        self.commit()
    }

    /// Puts what has come of the open stream into the set.
    fn hand_over(&mut self) {
        let Some(open) = &mut self.open else { return };
        let Some(last) = open.events.last() else { return };
        let (head, first) = (chain::head_after(last), open.expected == 0);
        let begin = &open.begin;
        let anchor = begin.anchor.as_ref().filter(|_| first).map(|anchor| Row::StreamTrim {
            tenant: begin.tenant,
            stream: open.name,
            upto_seq: anchor.upto_seq,
            anchor: anchor.jws.clone(),
        });
        self.set.streams.push(StreamWrite {
            tenant: begin.tenant,
            stream: open.name,
            expected: std::mem::replace(&mut open.expected, head.seq),
            events: std::mem::take(&mut open.events),
            head,
            task: begin.task.as_ref().map(|task| TaskWrite {
                task: task.clone().into(),
                data_subject: begin.data_subject.clone(),
                signature: begin.signature.clone(),
            }),
            rows: anchor.into_iter().collect(),
        });
    }

    fn close(&mut self) -> Result<(), ArchiveError> {
        self.hand_over();
        self.open = None;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), ArchiveError> {
        self.size = (0, 0);
        let set = std::mem::take(&mut self.set);
        if set.streams.is_empty() && set.rows.is_empty() && set.lanes.is_empty() {
            return Ok(());
        }
        let committed = self.target.writer.commit(&set)?;
        match committed.moved.first() {
            Some(stream) => Err(ArchiveError::NotEmpty(format!("{stream} is there already"))),
            None => Ok(()),
        }
    }
}
