//! Statements of the writer, and the reads that differ from PostgreSQL's.

use crate::decode::{
    blob_columns, dependency_columns, event_columns, key_columns, loaded_columns, queue_columns,
};
use crate::statement::statements;

statements! {
    BEGIN_READ = "BEGIN";
    BEGIN_WRITE = "BEGIN IMMEDIATE";
    COMMIT = "COMMIT";

    LOAD_TASK = concat!(
        "SELECT ", loaded_columns!(), " FROM task AS t LEFT JOIN lease AS x ON x.task = t.id WHERE t.tenant = $1 AND t.id = $2"
    );
    LOAD_PREREQUISITES = concat!(
        "SELECT ", dependency_columns!(), " FROM dependency WHERE dependent = $1 ORDER BY prerequisite"
    );
    LOAD_TIES = "SELECT EXISTS (SELECT 1 FROM dependency WHERE dependent = $1), \
        EXISTS (SELECT 1 FROM dependency WHERE prerequisite = $1), \
        EXISTS (SELECT 1 FROM task WHERE parent = $1 AND tenant = $2 AND ended IS NULL)";
    LOAD_KEY = concat!("SELECT ", key_columns!(), " FROM task_key WHERE hash = $1");
    LOAD_BLOB = concat!("SELECT ", blob_columns!(), " FROM blob AS b WHERE b.tenant = $1 AND b.id = $2");
    LOAD_STREAM = "SELECT head_seq, head_hash, head_ts FROM stream WHERE id = $1 AND tenant = $2";
    /// The next tenant of a lane: one step of a loose scan.
    READY_TENANT = "SELECT tenant FROM queue WHERE lane = $1 AND tenant > $2 ORDER BY tenant LIMIT 1";
    READY = concat!("SELECT ", queue_columns!(), " FROM queue AS q WHERE q.lane = $1 AND q.tenant = $2 ORDER BY q.rank, q.task");

    HEAD_OF_TASK = "SELECT head_seq, number, queue, state, running_us, event_bytes FROM task WHERE tenant = $1 AND id = $2";
    HEAD_OF_STREAM = "SELECT head_seq, tenant FROM stream WHERE id = $1";
    STREAM_EXISTS = "SELECT 1 FROM event WHERE stream = $1 LIMIT 1";
    KEY_TAKEN = "SELECT 1 FROM task_key WHERE hash = $1";
    TASK_EXISTS = "SELECT 1 FROM task WHERE tenant = $1 AND id = $2";
    BLOB_EXISTS = "SELECT 1 FROM blob WHERE tenant = $1 AND id = $2";

    EVENT_INSERT = "INSERT INTO event (pos, stream, seq, tenant, v, body_v, ts, type, actor, trace, hash, data_hash, codec, \
        salt, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    /// The first twenty are those of TASK_UPDATE.
    TASK_INSERT = "INSERT INTO task (state, priority, kind, queue, created_by, running_us, event_bytes, ended, finished_at, \
        head_seq, head_ts, head_hash, parent, session, key, labels, search, kid, signature, doc, tenant, id, data_subject) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)";
    TASK_UPDATE = "UPDATE task SET state = $1, priority = $2, kind = $3, queue = $4, created_by = $5, running_us = $6, \
        event_bytes = $7, ended = $8, finished_at = $9, head_seq = $10, head_ts = $11, head_hash = $12, parent = $13, \
        session = $14, key = $15, labels = $16, search = $17, kid = coalesce($18, kid), \
        signature = coalesce($19, signature), doc = $20 WHERE number = $21";
    TALLY_ADD = "INSERT INTO tally (tenant, queue, state, tasks, running_us, event_bytes) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks, running_us = running_us + excluded.running_us, \
        event_bytes = event_bytes + excluded.event_bytes";
    STREAM_PUT = "INSERT INTO stream (id, tenant, name, segment, head_seq, head_ts, head_hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET head_seq = excluded.head_seq, \
        head_ts = excluded.head_ts, head_hash = excluded.head_hash";
    KEY_INSERT = "INSERT INTO task_key (hash, tenant, task, request, deleted_at) VALUES ($1, $2, $3, $4, $5)";
    LANE_INSERT = "INSERT INTO lane (id, queue, kind, kind_version, requires) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT DO NOTHING";
    QUEUE_PUT = "REPLACE INTO queue (lane, tenant, rank, task, since, concurrency, concurrency_limit) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    QUEUE_DELETE = "DELETE FROM queue WHERE lane = $1 AND tenant = $2 AND rank = $3 AND task = $4";
    LEASE_PUT = "REPLACE INTO lease (task, tenant, epoch, attempt, nonce, worker, incarnation, expires_at, batch, \
        concurrency) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    LEASE_DELETE = "DELETE FROM lease WHERE task = $1";
    TIMER_PUT = "INSERT INTO timer (task, tenant, at) VALUES ($1, $2, $3) \
        ON CONFLICT (task) DO UPDATE SET tenant = excluded.tenant, at = excluded.at";
    TIMER_DELETE = "DELETE FROM timer WHERE task = $1";
    DEPENDENCY_PUT = "REPLACE INTO dependency (dependent, prerequisite, tenant, how) VALUES ($1, $2, $3, $4)";
    DEPENDENCY_DELETE = "DELETE FROM dependency WHERE dependent = $1 AND prerequisite = $2";
    OUTBOX_PUT = "REPLACE INTO outbox (task, tenant) VALUES ($1, $2)";
    OUTBOX_DELETE = "DELETE FROM outbox WHERE task = $1";
    WORKER_PUT = "REPLACE INTO worker (id, doc) VALUES ($1, $2)";
    WORKER_DELETE = "DELETE FROM worker WHERE id = $1";
    QUEUE_PAUSE = "INSERT INTO paused_queue (queue) VALUES ($1) ON CONFLICT DO NOTHING";
    QUEUE_RESUME = "DELETE FROM paused_queue WHERE queue = $1";
    BLOB_PUT = "REPLACE INTO blob (tenant, id, size, media_type, inner_hash, salt, put_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    BLOB_USE = "INSERT INTO blob_use (tenant, blob, task) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    BLOB_DELETE = "DELETE FROM blob WHERE tenant = $1 AND id = $2 \
        AND NOT EXISTS (SELECT 1 FROM blob_use AS u WHERE u.tenant = blob.tenant AND u.blob = blob.id)";
    TENANT_PUT = "REPLACE INTO tenant (id, name, secret, created_at) VALUES ($1, $2, $3, $4)";
    SIGNING_KEY_PUT = "REPLACE INTO signing_key (kid, public, created_at) VALUES ($1, $2, $3)";
    KEY_PUT = "REPLACE INTO task_key (hash, tenant, task, request, deleted_at) VALUES ($1, $2, $3, $4, $5)";
    KEY_MOVE = "UPDATE task_key SET task = $1, request = coalesce($2, request), deleted_at = NULL \
        WHERE hash = $3 AND task = $4";
    JOB_PUT = "REPLACE INTO job (name, ran_at, upto_at, upto_task) VALUES ($1, $2, $3, $4)";
    JOB_DELETE = "DELETE FROM job WHERE name = $1";
    INSTALLATION_PUT = "UPDATE installation SET id = $1, epoch = $2, created_at = $3";
    KEYS_SWEEP = "DELETE FROM task_key WHERE deleted_at < $1";

    REMOVED_TASK = "SELECT number, queue, state, running_us, event_bytes FROM task WHERE tenant = $1 AND id = $2";
    REMOVED_STREAM = "SELECT 1 FROM stream WHERE tenant = $1 AND id = $2";
    REMOVAL_ALLOW = "REPLACE INTO event_removal (stream, upto_seq) VALUES ($1, $2)";
    REMOVAL_END = "DELETE FROM event_removal WHERE stream = $1";
    EVENTS_DELETE = "DELETE FROM event WHERE stream = $1 AND seq <= $2";
    LAST_POS_KEEP = "UPDATE installation SET last_pos = max(last_pos, $1)";
    TASK_DELETE = "DELETE FROM task WHERE number = $1";
    TASK_QUEUE_DELETE = "DELETE FROM queue WHERE task = $1";
    TASK_DEPENDENCIES_DELETE = "DELETE FROM dependency WHERE dependent = $1 OR prerequisite = $1";
    TASK_BLOBS_DELETE = "DELETE FROM blob_use WHERE task = $1";
    TASK_KEYS_MARK = "UPDATE task_key SET deleted_at = $1 WHERE task = $2";
    ANCHOR_DELETE = "DELETE FROM anchor WHERE stream = $1";
    ANCHOR_PUT = "REPLACE INTO anchor (stream, tenant, upto_seq, jws) VALUES ($1, $2, $3, $4)";
    PAYLOAD = "SELECT salt, data, codec FROM event WHERE stream = $1 AND seq = $2 AND tenant = $3 AND data IS NOT NULL";
    PAYLOAD_ERASE = "UPDATE event SET data_hash = $1, salt = NULL, data = NULL, codec = NULL WHERE stream = $2 AND seq = $3";

    FREE_PAGES = "PRAGMA freelist_count";
    VACUUM = "PRAGMA incremental_vacuum(64)";
    CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)";

    FEED = concat!(
        "SELECT e.pos, e.stream, s.name, ", event_columns!(), " FROM event AS e LEFT JOIN stream AS s ON s.id = e.stream \
        WHERE e.pos > $1 AND e.tenant = $2 ORDER BY e.pos LIMIT $3"
    );
    LAST_POSITION = "SELECT pos FROM event WHERE tenant = $1 ORDER BY pos DESC LIMIT 1";
}
