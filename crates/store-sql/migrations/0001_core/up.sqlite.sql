-- Times are microseconds since 1970 in UTC. Ids are the 16 bytes of a UUID. A state is its place in State::ALL.

CREATE TABLE installation (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  -- No position up to here is given out again: the last event may have been deleted.
  last_pos INTEGER NOT NULL
) STRICT;

CREATE TABLE tenant (
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL,
  secret BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_key (
  kid TEXT PRIMARY KEY,
  public BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `doc` is JSON of what no column says of the record, but for `spec`: columns repeat what lists filter by. `ended` and `finished_at` are null while the task
-- lives, so that the partial indexes change once in its life.
CREATE TABLE task (
  number INTEGER PRIMARY KEY,
  tenant BLOB NOT NULL,
  id BLOB NOT NULL,
  state INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  kind TEXT NOT NULL,
  queue TEXT NOT NULL,
  created_by BLOB NOT NULL,
  running_us INTEGER NOT NULL,
  event_bytes INTEGER NOT NULL,
  ended INTEGER,
  finished_at INTEGER,
  head_seq INTEGER NOT NULL,
  head_ts INTEGER NOT NULL,
  head_hash BLOB NOT NULL,
  parent BLOB,
  session BLOB,
  key TEXT,
  labels TEXT,
  search TEXT,
  data_subject TEXT,
  kid TEXT,
  signature BLOB,
  doc BLOB NOT NULL,
  UNIQUE (tenant, id)
) STRICT;

CREATE INDEX task_live_child ON task (parent, tenant, id) WHERE parent IS NOT NULL AND ended IS NULL;
-- Lists go by the narrowest of these, in the order of the ids. What most tasks have in common is not indexed.
CREATE INDEX task_state ON task (state, tenant, id);
CREATE INDEX task_kind ON task (kind, tenant, id);
CREATE INDEX task_queue ON task (queue, tenant, id) WHERE queue <> 'default';
CREATE INDEX task_priority ON task (priority, tenant, id) WHERE priority <> 0;
CREATE INDEX task_session ON task (session, tenant, id) WHERE session IS NOT NULL;
CREATE INDEX task_child ON task (parent, id) WHERE parent IS NOT NULL;
CREATE INDEX task_finished ON task (finished_at, id) WHERE finished_at IS NOT NULL;
CREATE INDEX task_data_subject ON task (tenant, data_subject) WHERE data_subject IS NOT NULL;

-- How many tasks there are, so that nobody has to count them. Kept by every commit.
CREATE TABLE tally (
  tenant BLOB NOT NULL,
  queue TEXT NOT NULL,
  state INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  running_us INTEGER NOT NULL,
  event_bytes INTEGER NOT NULL,
  PRIMARY KEY (tenant, queue, state)
) STRICT, WITHOUT ROWID;

-- Heads of streams that are no task's. `id` is the first half of the SHA-256 of the name.
CREATE TABLE stream (
  id BLOB PRIMARY KEY,
  tenant BLOB NOT NULL,
  name TEXT NOT NULL,
  segment INTEGER NOT NULL,
  head_seq INTEGER NOT NULL,
  head_ts INTEGER NOT NULL,
  head_hash BLOB NOT NULL,
  UNIQUE (tenant, segment)
) STRICT, WITHOUT ROWID;

-- `type` is one letter for the most common types. `actor` is a byte for the prefix of an id and its bytes, without the zeros at their
-- end, or a zero and text. `data_hash` is kept only where the payload is gone: else it is computed. Codec 0 is plain.
CREATE TABLE event (
  pos INTEGER PRIMARY KEY,
  stream BLOB NOT NULL,
  seq INTEGER NOT NULL,
  tenant BLOB NOT NULL,
  v INTEGER NOT NULL,
  body_v INTEGER NOT NULL,
  ts INTEGER NOT NULL,
  type TEXT NOT NULL,
  actor BLOB NOT NULL,
  trace TEXT,
  hash BLOB NOT NULL,
  data_hash BLOB,
  codec INTEGER,
  salt BLOB,
  data BLOB,
  UNIQUE (stream, seq),
  CHECK ((data IS NULL) = (salt IS NULL) AND (data IS NULL) = (codec IS NULL) AND (data IS NULL) = (data_hash IS NOT NULL))
) STRICT;

CREATE TABLE anchor (
  stream BLOB PRIMARY KEY,
  tenant BLOB NOT NULL,
  upto_seq INTEGER NOT NULL,
  jws TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Events of a stream may be deleted up to this number, within the transaction that says so.
CREATE TABLE event_removal (
  stream BLOB PRIMARY KEY,
  upto_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER event_update BEFORE UPDATE ON event
WHEN NOT (
  OLD.data IS NOT NULL AND NEW.data IS NULL AND NEW.salt IS NULL AND NEW.codec IS NULL AND length(NEW.data_hash) = 32
  AND NEW.pos = OLD.pos AND NEW.stream = OLD.stream AND NEW.seq = OLD.seq AND NEW.tenant = OLD.tenant AND NEW.v = OLD.v
  AND NEW.body_v = OLD.body_v AND NEW.ts = OLD.ts AND NEW.type = OLD.type AND NEW.actor = OLD.actor
  AND NEW.trace IS OLD.trace AND NEW.hash = OLD.hash
)
BEGIN
  SELECT RAISE(ABORT, 'events are never changed: only a payload may be removed');
END;

CREATE TRIGGER event_delete BEFORE DELETE ON event
WHEN NOT EXISTS (SELECT 1 FROM event_removal AS r WHERE r.stream = OLD.stream AND r.upto_seq >= OLD.seq)
BEGIN
  SELECT RAISE(ABORT, 'events are never deleted one by one: only a stream is removed or trimmed');
END;

CREATE TABLE task_key (
  hash BLOB PRIMARY KEY,
  tenant BLOB NOT NULL,
  task BLOB NOT NULL,
  request BLOB NOT NULL,
  deleted_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX task_key_task ON task_key (task);
CREATE INDEX task_key_deleted ON task_key (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE lane (
  id INTEGER PRIMARY KEY,
  queue TEXT NOT NULL,
  kind TEXT NOT NULL,
  kind_version INTEGER,
  requires TEXT NOT NULL
) STRICT;

-- `rank` is the priority with its sign turned, so that the key is the order of the queue.
CREATE TABLE queue (
  lane INTEGER NOT NULL,
  tenant BLOB NOT NULL,
  rank INTEGER NOT NULL,
  task BLOB NOT NULL,
  since INTEGER NOT NULL,
  concurrency BLOB,
  concurrency_limit INTEGER,
  PRIMARY KEY (lane, tenant, rank, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_task ON queue (task);

CREATE TABLE lease (
  task BLOB PRIMARY KEY,
  tenant BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  nonce INTEGER NOT NULL,
  worker BLOB NOT NULL,
  incarnation BLOB,
  expires_at INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  concurrency BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE timer (
  task BLOB PRIMARY KEY,
  tenant BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX timer_at ON timer (at, tenant, task);

-- `how` is 0 for completed, 1 for ended.
CREATE TABLE dependency (
  dependent BLOB NOT NULL,
  prerequisite BLOB NOT NULL,
  tenant BLOB NOT NULL,
  how INTEGER NOT NULL,
  PRIMARY KEY (dependent, prerequisite)
) STRICT, WITHOUT ROWID;

CREATE INDEX dependency_prerequisite ON dependency (prerequisite, dependent);

CREATE TABLE outbox (
  task BLOB PRIMARY KEY,
  tenant BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
  id BLOB PRIMARY KEY,
  doc BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE paused_queue (
  queue TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What is done every hour or so. `upto` is the place of the last finished task that was looked at.
CREATE TABLE job (
  name TEXT PRIMARY KEY,
  ran_at INTEGER NOT NULL,
  upto_at INTEGER,
  upto_task BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE blob (
  tenant BLOB NOT NULL,
  id TEXT NOT NULL,
  size INTEGER NOT NULL,
  media_type TEXT NOT NULL,
  inner_hash BLOB NOT NULL,
  salt BLOB NOT NULL,
  put_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE blob_use (
  tenant BLOB NOT NULL,
  blob TEXT NOT NULL,
  task BLOB NOT NULL,
  PRIMARY KEY (tenant, blob, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_use_task ON blob_use (task);
