//! The writer: loading working sets, committing write sets.

use super::checkpoint::Checkpoints;
use super::run::Run;
use super::{Shared, sql};
use crate::decode;
use crate::encode::stream_key;
use crate::open::CheckpointOptions;
use crate::value::array;
use everloop_store::error::{Source, StoreError};
use everloop_store::port::WriteStore;
use everloop_store::work::{
    Committed, LoadedTask, ReadyQuery, Relations, Wanted, WantedTask, WorkingSet, WriteSet,
};
use everloop_types::id::TenantId;
use everloop_types::time::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Unused pages from which on the file is made smaller when there is time.
const FREE_PAGES: i64 = 512;

/// The only connection that writes.
pub(super) struct Writer {
    checkpoints: Checkpoints,
    connection: Connection,
    /// The last position that was given out.
    pos: i64,
    /// Whether something was deleted since the file was last looked at.
    deleted: bool,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn new(
        mut connection: Connection,
        pos: i64,
        shared: Arc<Shared>,
        checkpoints: CheckpointOptions,
    ) -> Result<Self, StoreError> {
        let checkpoints = Checkpoints::start(&mut connection, &shared, checkpoints)?;
        Ok(Self { checkpoints, connection, pos, deleted: false, shared })
    }

    /// Runs `work` between `BEGIN` and `COMMIT`; nothing of it stays after an error.
    fn transaction<T>(
        &mut self,
        begin: &'static crate::statement::Statement,
        work: impl FnOnce(&mut Run<'_>, &mut i64) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut run = Run::new(&self.connection);
        run.execute(begin, [])?;
        let result = work(&mut run, &mut self.pos).and_then(|value| {
            run.execute(&sql::COMMIT, [])?;
            Ok(value)
        });
        drop(run);
        if result.is_err() && !self.connection.is_autocommit() {
            // Statements that still ran were reset above. A rollback in WAL mode writes nothing; should it fail all the same,
            // the next BEGIN fails too and says so.
            if let Err(error) = self.connection.execute_batch("ROLLBACK") {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
        }
        result
    }

    /// Overwrites what a commit that failed at its end may have left in the log. The process that comes after a crash would take
    /// it for committed, if no other commit took its place before.
    fn bury(&mut self, error: Source) -> StoreError {
        // A new number, so that there is something to write.
        self.pos += 1;
        let keep = |run: &mut Run<'_>, pos: &mut i64| run.execute(&sql::LAST_POS_KEEP, [*pos]);
        match self.transaction(&sql::BEGIN_WRITE, keep) {
            Ok(_) => StoreError::Unavailable(error),
            Err(StoreError::Failed(error)) => StoreError::Failed(error),
            Err(_) => StoreError::Unknown(error),
        }
    }

    /// Gives unused pages back; says whether there may be more.
    fn shrink(&self) -> Result<bool, StoreError> {
        let mut run = Run::new(&self.connection);
        let free = run.one(&sql::FREE_PAGES, [], |row| row.int(0))?.unwrap_or(0);
        if free <= FREE_PAGES {
            return Ok(false);
        }
        run.each(&sql::VACUUM, [], |_| Ok(true))?;
        Ok(true)
    }

    /// Remembers an error after which nothing may be written.
    fn noted(&self, error: StoreError) -> StoreError {
        if let StoreError::Failed(error) = &error {
            tracing::error!(%error, "fsync failed: nothing more is written by this process");
            self.shared.failed.store(true, Ordering::Relaxed);
        }
        error
    }

    fn writable(&self) -> Result<(), StoreError> {
        if self.shared.failed.load(Ordering::Relaxed) {
            return Err(StoreError::Failed("an earlier fsync failed: start the server again".into()));
        }
        Ok(())
    }
}

impl WriteStore for Writer {
    fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError> {
        self.transaction(&sql::BEGIN_READ, |run, _| load(run, wanted, now))
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        writes.validate()?;
        self.writable()?;
        let mut applied = false;
        let result = self.transaction(&sql::BEGIN_WRITE, |run, pos| {
            let done = super::commit::apply(run, pos, writes)?;
            applied = true;
            Ok(done)
        });
        match result {
            Ok((committed, deleted)) => {
                self.deleted |= deleted;
                self.checkpoints.after_commit(&self.connection, &self.shared);
                Ok(committed)
            }
            Err(StoreError::Unavailable(error)) if applied => {
                let error = self.bury(error);
                Err(self.noted(error))
            }
            Err(error) => Err(self.noted(error)),
        }
    }

    fn idle(&mut self) -> Result<(), StoreError> {
        self.writable()?;
        self.checkpoints.close_if_ready(&self.connection, &self.shared);
        self.writable()?;
        if self.deleted {
            self.deleted = self.shrink().map_err(|error| self.noted(error))?;
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.checkpoints.stop();
        // The last connection would move the log into the file and remove it. After a failed fsync only the log has everything.
        if self.shared.failed.load(Ordering::Relaxed)
            && let Err(error) =
                self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        {
            tracing::error!(%error, "the log of the database could not be kept from being moved");
        }
    }
}

fn load(run: &mut Run<'_>, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError> {
    let mut set = WorkingSet { now, ..WorkingSet::default() };
    set.tasks.reserve(wanted.tasks.len());
    for want in &wanted.tasks {
        // The same task may be wanted twice, once with its relations.
        if set.tasks.get(&want.task).is_none_or(|_| want.relations)
            && let Some(loaded) = load_task(run, want)?
        {
            set.tasks.insert(want.task, loaded);
        }
    }
    for hash in &wanted.keys {
        if let Some(key) = run.one(&sql::LOAD_KEY, [hash], decode::key_row)? {
            set.keys.insert(*hash, key);
        }
    }
    let mut seen = HashSet::new();
    for query in &wanted.ready {
        load_ready(run, query, |row| {
            if seen.insert(row.task) {
                set.ready.push(row);
            }
        })?;
    }
    let ready: Vec<_> = set.ready.iter().map(|row| (row.tenant, row.task)).collect();
    for (tenant, task) in ready {
        if let Entry::Vacant(vacant) = set.tasks.entry(task)
            && let Some(loaded) = load_task(run, &WantedTask { tenant, task, relations: false })?
        {
            vacant.insert(loaded);
        }
    }
    for (tenant, id) in &wanted.blobs {
        if let Some(blob) = run.one(&sql::LOAD_BLOB, params![tenant.0, id], decode::blob_row)? {
            set.blobs.insert((blob.tenant, blob.id.clone()), blob);
        }
    }
    for (tenant, stream) in &wanted.streams {
        let head = match stream.task() {
            Some(task) => run.one(&sql::LOAD_TASK, params![tenant.0, task.0], |row| decode::head(row, 1))?,
            None => run
                .one(&sql::LOAD_STREAM, params![stream_key(*stream), tenant.0], |row| decode::head(row, 0))?,
        };
        if let Some(head) = head {
            set.streams.insert(*stream, head);
        }
    }
    Ok(set)
}

fn load_task(run: &mut Run<'_>, want: &WantedTask) -> Result<Option<LoadedTask>, StoreError> {
    let (tenant, id) = (want.tenant.0, want.task.0);
    let Some(loaded) = run.one(&sql::LOAD_TASK, [tenant, id], |row| decode::loaded(row, 0))? else {
        return Ok(None);
    };
    let mut relations = Relations::default();
    if want.relations {
        let ties = run.one(&sql::LOAD_TIES, [id, tenant], |row| {
            Ok([row.int(0)? != 0, row.int(1)? != 0, row.int(2)? != 0])
        })?;
        let [has_prerequisites, has_dependents, has_live_children] = ties.unwrap_or_default();
        (relations.has_dependents, relations.has_live_children) = (has_dependents, has_live_children);
        if has_prerequisites {
            run.each(&sql::LOAD_PREREQUISITES, [id], |row| {
                relations.prerequisites.push(decode::dependency_row(row)?);
                Ok(true)
            })?;
        }
    }
    Ok(Some(LoadedTask { relations, ..loaded }))
}

fn load_ready(
    run: &mut Run<'_>,
    query: &ReadyQuery,
    mut found: impl FnMut(everloop_store::rows::QueueRow),
) -> Result<(), StoreError> {
    let mut last: Vec<u8> = Vec::new();
    while let Some(tenant) =
        run.one(&sql::READY_TENANT, params![query.lane.0, last], |row| array(row, 0).map(TenantId))?
    {
        let mut left = query.per_tenant;
        run.each(&sql::READY, params![query.lane.0, tenant.0], |row| {
            if left == 0 {
                return Ok(false);
            }
            let row = decode::queue_row(row)?;
            if row.concurrency.is_none_or(|(key, _)| !query.full.contains(&key)) {
                left -= 1;
                found(row);
            }
            Ok(left > 0)
        })?;
        last = tenant.0.to_vec();
    }
    Ok(())
}
