//! Statements that read, in words that both engines understand.

use crate::decode::{
    blob_columns, dependency_columns, event_columns, job_columns, key_columns, lease_columns, queue_columns,
    task_columns,
};
use crate::statement::statements;

statements! {
    TASK = concat!("SELECT ", task_columns!(), " FROM task AS t WHERE t.tenant = $1 AND t.id = $2");
    KEY = concat!("SELECT ", key_columns!(), " FROM task_key WHERE hash = $1");
    /// The rest is put together from the filter.
    TASKS = concat!("SELECT ", task_columns!());
    /// The rest is put together from the filter.
    TASKS_COUNT = "SELECT count(*) FROM (SELECT 1 FROM task AS t WHERE t.tenant = $1";
    TASK_BEFORE = "SELECT id FROM task WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3";
    TASK_BEHIND = "SELECT id FROM task WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT 1 OFFSET $3";
    STATE_COUNTS = "SELECT queue, state, tasks, running_us, event_bytes FROM tally WHERE tenant = $1 AND tasks > 0 \
        ORDER BY queue, state";
    FINISHED = concat!(
        "SELECT ", task_columns!(), " FROM task AS t WHERE (t.finished_at, t.id) > ($1, $2) AND t.finished_at < $3 \
        ORDER BY t.finished_at, t.id LIMIT $4"
    );
    EVENTS = concat!(
        "SELECT (SELECT p.hash FROM event AS p WHERE p.stream = $1 AND p.seq = $2 AND e.seq = $2 + 1), ",
        event_columns!(),
        " FROM event AS e WHERE e.stream = $1 AND e.seq > $2 AND e.tenant = $3 ORDER BY e.seq LIMIT $4"
    );
    EVENT = concat!(
        "SELECT (SELECT p.hash FROM event AS p WHERE p.stream = $1 AND p.seq = $2 - 1), ",
        event_columns!(),
        " FROM event AS e WHERE e.stream = $1 AND e.seq = $2 AND e.tenant = $3"
    );
    PAYLOADS = "SELECT seq FROM event WHERE stream = $1 AND seq > $2 AND tenant = $3 AND type = $4 AND data IS NOT NULL \
        ORDER BY seq LIMIT $5";
    HEAD_OF_TASK = "SELECT head_seq, head_hash, head_ts FROM task WHERE tenant = $1 AND id = $2";
    HEAD_OF_STREAM = "SELECT head_seq, head_hash, head_ts FROM stream WHERE tenant = $1 AND id = $2";
    ANCHOR = "SELECT upto_seq, jws FROM anchor WHERE tenant = $1 AND stream = $2";
    AUDIT_SEGMENT = "SELECT segment FROM stream WHERE tenant = $1 ORDER BY segment DESC LIMIT 1";
    LANES = "SELECT id, queue, kind, kind_version, requires FROM lane ORDER BY id";
    DEPTHS = "SELECT lane, tenant, count(*), min(since) FROM queue GROUP BY lane, tenant ORDER BY lane, tenant";
    LEASES = concat!("SELECT ", lease_columns!(), " FROM lease AS x ORDER BY x.task");
    TIMERS_DUE = "SELECT at, tenant, task FROM timer WHERE at <= $1 ORDER BY at, tenant, task LIMIT $2";
    NEXT_TIMER = "SELECT at FROM timer ORDER BY at LIMIT 1";
    OUTBOX = "SELECT tenant, task FROM outbox ORDER BY task LIMIT $1";
    DEPENDENTS = concat!(
        "SELECT ", dependency_columns!(), " FROM dependency WHERE prerequisite = $1 ORDER BY dependent LIMIT $2"
    );
    LIVE_CHILDREN = "SELECT id FROM task WHERE parent = $1 AND tenant = $2 AND ended IS NULL ORDER BY id LIMIT $3";
    PAUSED_QUEUES = "SELECT queue FROM paused_queue ORDER BY queue";
    WORKERS = "SELECT doc FROM worker ORDER BY id";
    WORKER = "SELECT doc FROM worker WHERE id = $1";
    INSTALLATION = "SELECT id, epoch, created_at FROM installation";
    TENANTS = "SELECT id, name, secret, created_at FROM tenant ORDER BY id";
    SIGNING_KEYS = "SELECT kid, public, created_at FROM signing_key ORDER BY created_at, kid";
    JOB = concat!("SELECT ", job_columns!(), " FROM job WHERE name = $1");
    BLOB = concat!("SELECT ", blob_columns!(), " FROM blob AS b WHERE b.tenant = $1 AND b.id = $2");
    BLOBS_UNUSED = concat!(
        "SELECT ", blob_columns!(), " FROM blob AS b WHERE b.put_at < $1 \
        AND NOT EXISTS (SELECT 1 FROM blob_use AS u WHERE u.tenant = b.tenant AND u.blob = b.id) \
        ORDER BY b.tenant, b.id LIMIT $2"
    );
    PING = "SELECT 1";

    /// A snapshot holds still from its first read on.
    ALL_JOBS = concat!("SELECT ", job_columns!(), " FROM job ORDER BY name");
    ALL_KEYS = concat!("SELECT ", key_columns!(), " FROM task_key WHERE hash > $1 ORDER BY hash LIMIT $2");
    ALL_QUEUE = concat!("SELECT ", queue_columns!(), " FROM queue AS q WHERE q.task > $1 ORDER BY q.task LIMIT $2");
    ALL_LEASES = concat!("SELECT ", lease_columns!(), " FROM lease AS x WHERE x.task > $1 ORDER BY x.task LIMIT $2");
    ALL_TIMERS = "SELECT at, tenant, task FROM timer WHERE task > $1 ORDER BY task LIMIT $2";
    ALL_DEPENDENCIES = concat!(
        "SELECT ", dependency_columns!(), " FROM dependency WHERE (dependent, prerequisite) > ($1, $2) \
        ORDER BY dependent, prerequisite LIMIT $3"
    );
    ALL_OUTBOX = "SELECT tenant, task FROM outbox WHERE task > $1 ORDER BY task LIMIT $2";
    ALL_BLOBS = concat!(
        "SELECT ", blob_columns!(), " FROM blob AS b WHERE (b.tenant, b.id) > ($1, $2) ORDER BY b.tenant, b.id LIMIT $3"
    );
    ALL_BLOB_USES = "SELECT tenant, blob, task FROM blob_use WHERE (tenant, blob, task) > ($1, $2, $3) \
        ORDER BY tenant, blob, task LIMIT $4";
}
