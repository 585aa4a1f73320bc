//! Statements of the writer, set-wise, and the reads that differ from SQLite's.

use crate::decode::{
    blob_columns, dependency_columns, event_columns, key_columns, loaded_columns, queue_columns,
};
use crate::statement::statements;

statements! {
    NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    LOAD_TASKS = concat!(
        "SELECT ", loaded_columns!(), " FROM unnest($1::bytea[], $2::bytea[]) AS w(tenant, id) \
        JOIN task AS t ON t.tenant = w.tenant AND t.id = w.id LEFT JOIN lease AS x ON x.task = w.id"
    );
    LOAD_PREREQUISITES = concat!(
        "SELECT ", dependency_columns!(), " FROM dependency WHERE dependent = ANY($1::bytea[]) ORDER BY dependent, prerequisite"
    );
    LOAD_RELATIONS = "SELECT w.tenant, w.id, \
        EXISTS (SELECT 1 FROM dependency AS d WHERE d.prerequisite = w.id)::int, \
        EXISTS (SELECT 1 FROM task AS c WHERE c.parent = w.id AND c.tenant = w.tenant AND c.ended IS NULL)::int \
        FROM unnest($1::bytea[], $2::bytea[]) AS w(tenant, id)";
    LOAD_KEYS = concat!("SELECT ", key_columns!(), " FROM task_key WHERE hash = ANY($1::bytea[])");
    LOAD_BLOBS = concat!(
        "SELECT ", blob_columns!(), " FROM unnest($1::bytea[], $2::text[]) AS w(tenant, id) \
        JOIN blob AS b ON b.tenant = w.tenant AND b.id = w.id"
    );
    LOAD_STREAMS = "WITH w AS (SELECT * FROM unnest($1::bytea[], $2::bytea[]) AS w(tenant, id)) \
        SELECT s.id, s.head_seq, s.head_hash, s.head_ts FROM w JOIN stream AS s ON s.id = w.id AND s.tenant = w.tenant \
        UNION ALL \
        SELECT t.id, t.head_seq, t.head_hash, t.head_ts FROM w JOIN task AS t ON t.id = w.id AND t.tenant = w.tenant";
    /// Tenants of a lane by a loose scan, then the first rows of each, with their tasks and leases. `$3` and `$4` say which lane passes which keys over.
    READY = concat!(
        "WITH RECURSIVE w AS (\
            SELECT w.place, w.lane, w.per_tenant, \
                (SELECT q.tenant FROM queue AS q WHERE q.lane = w.lane ORDER BY q.tenant LIMIT 1) AS tenant \
            FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS w(lane, per_tenant, place) \
            UNION ALL \
            SELECT w.place, w.lane, w.per_tenant, \
                (SELECT q.tenant FROM queue AS q WHERE q.lane = w.lane AND q.tenant > w.tenant ORDER BY q.tenant LIMIT 1) \
            FROM w WHERE w.tenant IS NOT NULL) \
        SELECT ", queue_columns!(), ", ", loaded_columns!(), " FROM w CROSS JOIN LATERAL (\
            SELECT * FROM queue AS q WHERE q.lane = w.lane AND q.tenant = w.tenant AND (q.concurrency IS NULL \
                OR NOT EXISTS (SELECT 1 FROM unnest($3::bigint[], $4::bytea[]) AS f(place, key) \
                    WHERE f.place = w.place AND f.key = q.concurrency)) \
            ORDER BY q.rank, q.task LIMIT w.per_tenant) AS q \
        JOIN task AS t ON t.tenant = q.tenant AND t.id = q.task LEFT JOIN lease AS x ON x.task = q.task"
    );

    /// Where this transaction's positions begin: its id comes before any event of it.
    POSITION = "SELECT (position_base + pg_current_xact_id()::text::bigint) << 20 FROM installation";
    LOCK_TASKS = "SELECT t.tenant, t.id, t.head_seq, t.queue, t.state, t.running_us, t.event_bytes FROM unnest($1::bytea[], $2::bytea[]) AS w(tenant, id) \
        JOIN task AS t ON t.tenant = w.tenant AND t.id = w.id ORDER BY t.tenant, t.id FOR NO KEY UPDATE OF t";
    LOCK_STREAMS = "SELECT s.tenant, s.id, s.head_seq FROM stream AS s WHERE s.id = ANY($1::bytea[]) \
        ORDER BY s.id FOR NO KEY UPDATE";
    STREAMS_EXIST = "SELECT w.id FROM unnest($1::bytea[]) AS w(id) \
        WHERE EXISTS (SELECT 1 FROM event AS e WHERE e.stream = w.id)";
    KEYS_TAKEN = "SELECT hash FROM task_key WHERE hash = ANY($1::bytea[])";
    NEEDED_TASKS = "SELECT t.tenant, t.id FROM unnest($1::bytea[], $2::bytea[]) AS w(tenant, id) \
        JOIN task AS t ON t.tenant = w.tenant AND t.id = w.id ORDER BY t.tenant, t.id FOR KEY SHARE OF t";
    NEEDED_BLOBS = "SELECT b.tenant, b.id FROM unnest($1::bytea[], $2::text[]) AS w(tenant, id) \
        JOIN blob AS b ON b.tenant = w.tenant AND b.id = w.id ORDER BY b.tenant, b.id FOR KEY SHARE OF b";
    /// Whoever is naming one of these is waited for, so that the statement that deletes them sees it.
    LOCK_BLOBS = "SELECT b.tenant FROM unnest($1::bytea[], $2::text[]) AS w(tenant, id) \
        JOIN blob AS b ON b.tenant = w.tenant AND b.id = w.id ORDER BY b.tenant, b.id FOR UPDATE OF b";

    KEY_INSERT = "INSERT INTO task_key (hash, tenant, task, request, deleted_at) \
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[]) AS w ORDER BY 1";
    KEY_PUT = "INSERT INTO task_key (hash, tenant, task, request, deleted_at) \
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[]) AS w ON CONFLICT (hash) \
        DO UPDATE SET tenant = excluded.tenant, task = excluded.task, request = excluded.request, \
        deleted_at = excluded.deleted_at";
    KEY_MOVE = "UPDATE task_key AS k SET task = w.task, request = coalesce(w.request, k.request), \
        deleted_at = NULL \
        FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[]) AS w(task, request, hash, giver) WHERE k.hash = w.hash AND k.task = w.giver";
    JOB_PUT = "INSERT INTO job (name, ran_at, upto_at, upto_task) \
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[]) ON CONFLICT (name) DO UPDATE \
        SET ran_at = excluded.ran_at, upto_at = excluded.upto_at, upto_task = excluded.upto_task";
    JOB_DELETE = "DELETE FROM job WHERE name = ANY($1::text[])";
    INSTALLATION_PUT = "UPDATE installation SET id = $1, epoch = $2, created_at = $3";
    STREAM_PUT = "INSERT INTO stream (id, tenant, name, segment, head_seq, head_ts, head_hash) \
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])";
    STREAM_UPDATE = "UPDATE stream AS s SET head_seq = w.head_seq, head_ts = w.head_ts, head_hash = w.head_hash \
        FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) AS w(id, head_seq, head_ts, head_hash) \
        WHERE s.id = w.id";
    EVENT_INSERT = "INSERT INTO event (pos, stream, seq, tenant, v, body_v, ts, type, actor, trace, hash, data_hash, codec, \
        salt, data) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bigint[], \
        $7::bigint[], $8::text[], $9::bytea[], $10::text[], $11::bytea[], $12::bytea[], $13::bigint[], $14::bytea[], \
        $15::bytea[])";
    TASK_INSERT = "INSERT INTO task (tenant, id, state, priority, kind, queue, created_by, running_us, event_bytes, ended, \
        finished_at, head_seq, head_ts, head_hash, parent, session, key, labels, search, kid, signature, doc, data_subject) \
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], \
        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[], $15::bytea[], \
        $16::bytea[], $17::text[], $18::text[], $19::text[], $20::text[], $21::bytea[], $22::bytea[], $23::text[])";
    TASK_UPDATE = "UPDATE task AS t SET state = w.state, priority = w.priority, kind = w.kind, queue = w.queue, \
        created_by = w.created_by, running_us = w.running_us, event_bytes = w.event_bytes, ended = w.ended, \
        finished_at = w.finished_at, head_seq = w.head_seq, head_ts = w.head_ts, head_hash = w.head_hash, \
        parent = w.parent, session = w.session, key = w.key, labels = w.labels, search = w.search, \
        kid = coalesce(w.kid, t.kid), signature = coalesce(w.signature, t.signature), doc = w.doc \
        FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], \
        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[], $15::bytea[], \
        $16::bytea[], $17::text[], $18::text[], $19::text[], $20::text[], $21::bytea[], $22::bytea[]) \
        AS w(tenant, id, state, priority, kind, queue, created_by, running_us, event_bytes, ended, finished_at, head_seq, \
        head_ts, head_hash, parent, session, key, labels, search, kid, signature, doc) \
        WHERE t.tenant = w.tenant AND t.id = w.id";

    TALLY_ADD = "INSERT INTO tally AS y (tenant, queue, state, tasks, running_us, event_bytes) \
        SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
        ON CONFLICT (tenant, queue, state) DO UPDATE SET tasks = y.tasks + excluded.tasks, \
        running_us = y.running_us + excluded.running_us, event_bytes = y.event_bytes + excluded.event_bytes";

    LANE_INSERT = "INSERT INTO lane (id, queue, kind, kind_version, requires) \
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[]) AS w ORDER BY 1 \
        ON CONFLICT DO NOTHING";
    QUEUE_DELETE = "DELETE FROM queue AS q USING unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[]) \
        AS w(lane, tenant, rank, task) \
        WHERE q.lane = w.lane AND q.tenant = w.tenant AND q.rank = w.rank::integer AND q.task = w.task";
    QUEUE_PUT = "INSERT INTO queue (lane, tenant, rank, task, since, concurrency, concurrency_limit) \
        SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bytea[], $7::bigint[]) \
        ON CONFLICT (lane, tenant, rank, task) DO UPDATE SET since = excluded.since, concurrency = excluded.concurrency, \
        concurrency_limit = excluded.concurrency_limit";
    LEASE_DELETE = "DELETE FROM lease WHERE task = ANY($1::bytea[])";
    LEASE_PUT = "INSERT INTO lease (task, tenant, epoch, attempt, nonce, worker, incarnation, expires_at, batch, concurrency) \
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], \
        $8::bigint[], $9::bigint[], $10::bytea[]) ON CONFLICT (task) DO UPDATE SET tenant = excluded.tenant, \
        epoch = excluded.epoch, attempt = excluded.attempt, nonce = excluded.nonce, worker = excluded.worker, \
        incarnation = excluded.incarnation, expires_at = excluded.expires_at, batch = excluded.batch, \
        concurrency = excluded.concurrency";
    TIMER_DELETE = "DELETE FROM timer WHERE task = ANY($1::bytea[])";
    TIMER_PUT = "INSERT INTO timer (task, tenant, at) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) \
        ON CONFLICT (task) DO UPDATE SET tenant = excluded.tenant, at = excluded.at";
    DEPENDENCY_DELETE = "DELETE FROM dependency AS d USING unnest($1::bytea[], $2::bytea[]) AS w(dependent, prerequisite) \
        WHERE d.dependent = w.dependent AND d.prerequisite = w.prerequisite";
    DEPENDENCY_PUT = "INSERT INTO dependency (dependent, prerequisite, tenant, how) \
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) \
        ON CONFLICT (dependent, prerequisite) DO UPDATE SET tenant = excluded.tenant, how = excluded.how";
    OUTBOX_DELETE = "DELETE FROM outbox WHERE task = ANY($1::bytea[])";
    OUTBOX_PUT = "INSERT INTO outbox (task, tenant) SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
        ON CONFLICT (task) DO UPDATE SET tenant = excluded.tenant";
    WORKER_DELETE = "DELETE FROM worker WHERE id = ANY($1::bytea[])";
    WORKER_PUT = "INSERT INTO worker (id, doc) SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
        ON CONFLICT (id) DO UPDATE SET doc = excluded.doc";
    QUEUE_RESUME = "DELETE FROM paused_queue WHERE queue = ANY($1::text[])";
    QUEUE_PAUSE = "INSERT INTO paused_queue (queue) SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING";
    BLOB_PUT = "INSERT INTO blob (tenant, id, size, media_type, inner_hash, salt, put_at) \
        SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::bytea[], $6::bytea[], $7::bigint[]) \
        ON CONFLICT (tenant, id) DO UPDATE SET size = excluded.size, media_type = excluded.media_type, \
        inner_hash = excluded.inner_hash, salt = excluded.salt, put_at = excluded.put_at";
    BLOB_USE = "INSERT INTO blob_use (tenant, blob, task) SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[]) \
        ON CONFLICT DO NOTHING";
    BLOB_DELETE = "DELETE FROM blob AS b USING unnest($1::bytea[], $2::text[]) AS w(tenant, id) \
        WHERE b.tenant = w.tenant AND b.id = w.id \
        AND NOT EXISTS (SELECT 1 FROM blob_use AS u WHERE u.tenant = b.tenant AND u.blob = b.id)";
    TENANT_PUT = "INSERT INTO tenant (id, name, secret, created_at) \
        SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[]) ON CONFLICT (id) \
        DO UPDATE SET name = excluded.name, secret = excluded.secret, created_at = excluded.created_at";
    SIGNING_KEY_PUT = "INSERT INTO signing_key (kid, public, created_at) \
        SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[]) ON CONFLICT (kid) \
        DO UPDATE SET public = excluded.public, created_at = excluded.created_at";
    KEYS_SWEEP = "DELETE FROM task_key WHERE deleted_at < $1";

    /// The rows of `event_removal` are this transaction's own list of what goes: nobody else ever sees one.
    REMOVAL_OF_TASKS = "INSERT INTO event_removal (stream, upto_seq) \
        SELECT t.id, 9223372036854775807 FROM unnest($1::bytea[], $2::bytea[]) AS w(tenant, id) \
        JOIN task AS t ON t.tenant = w.tenant AND t.id = w.id ORDER BY t.id";
    REMOVAL_OF_EVENTS = "INSERT INTO event_removal (stream, upto_seq) SELECT $1, $2 WHERE EXISTS (\
        SELECT 1 FROM task WHERE id = $1 AND tenant = $3 UNION ALL SELECT 1 FROM stream WHERE id = $1 AND tenant = $3)";
    REMOVAL_END = "DELETE FROM event_removal";
    EVENTS_DELETE = "DELETE FROM event AS e USING event_removal AS r WHERE e.stream = r.stream AND e.seq <= r.upto_seq";
    TASK_QUEUE_DELETE = "DELETE FROM queue AS x USING event_removal AS r WHERE x.task = r.stream";
    TASK_LEASE_DELETE = "DELETE FROM lease AS x USING event_removal AS r WHERE x.task = r.stream";
    TASK_TIMER_DELETE = "DELETE FROM timer AS x USING event_removal AS r WHERE x.task = r.stream";
    TASK_DEPENDENT_DELETE = "DELETE FROM dependency AS x USING event_removal AS r WHERE x.dependent = r.stream";
    TASK_PREREQUISITE_DELETE = "DELETE FROM dependency AS x USING event_removal AS r WHERE x.prerequisite = r.stream";
    TASK_OUTBOX_DELETE = "DELETE FROM outbox AS x USING event_removal AS r WHERE x.task = r.stream";
    TASK_BLOBS_DELETE = "DELETE FROM blob_use AS x USING event_removal AS r WHERE x.task = r.stream";
    TASK_KEYS_MARK = "UPDATE task_key AS x SET deleted_at = w.at \
        FROM unnest($1::bytea[], $2::bigint[]) AS w(task, at) JOIN event_removal AS r ON r.stream = w.task \
        WHERE x.task = w.task";
    TALLY_REMOVE = "UPDATE tally AS y SET tasks = y.tasks - g.tasks, running_us = y.running_us - g.running_us, \
        event_bytes = y.event_bytes - g.event_bytes FROM (SELECT t.tenant, t.queue, t.state, count(*) AS tasks, \
        sum(t.running_us)::bigint AS running_us, sum(t.event_bytes)::bigint AS event_bytes \
        FROM unnest($1::bytea[], $2::bytea[]) AS w(tenant, id) JOIN task AS t ON t.tenant = w.tenant AND t.id = w.id \
        GROUP BY t.tenant, t.queue, t.state) AS g \
        WHERE y.tenant = g.tenant AND y.queue = g.queue AND y.state = g.state";
    TASK_DELETE = "DELETE FROM task AS x USING unnest($1::bytea[], $2::bytea[]) AS w(tenant, id) \
        WHERE x.tenant = w.tenant AND x.id = w.id";
    ANCHOR_DELETE = "DELETE FROM anchor AS x USING event_removal AS r WHERE x.stream = r.stream";
    ANCHOR_PUT = "INSERT INTO anchor (stream, tenant, upto_seq, jws) SELECT r.stream, $1, r.upto_seq, $2 \
        FROM event_removal AS r ON CONFLICT (stream) DO UPDATE SET upto_seq = excluded.upto_seq, jws = excluded.jws";
    PAYLOADS_ERASE = "UPDATE event SET data_hash = sha256(salt || data), salt = NULL, data = NULL, codec = NULL \
        WHERE stream = $1 AND seq = ANY($2::bigint[]) AND tenant = $3 AND codec = 0";

    FEED = concat!(
        "SELECT e.pos, e.stream, s.name, ", event_columns!(), " FROM event AS e LEFT JOIN stream AS s ON s.id = e.stream \
        WHERE e.pos > $1 AND e.tenant = $2 AND e.pos < (SELECT (i.position_base \
        + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 FROM installation AS i) ORDER BY e.pos LIMIT $3"
    );
    LAST_POSITION = "SELECT e.pos FROM event AS e WHERE e.tenant = $1 AND e.pos < (SELECT (i.position_base \
        + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 FROM installation AS i) ORDER BY e.pos DESC LIMIT 1";
}
