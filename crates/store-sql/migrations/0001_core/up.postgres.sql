-- Times are microseconds since 1970 in UTC. Ids are the 16 bytes of a UUID. A state is its place in State::ALL.

CREATE TABLE installation (
  one SMALLINT PRIMARY KEY CHECK (one = 1),
  id BYTEA NOT NULL,
  epoch BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  -- A position is (position_base + id of the transaction) * 2^20 + place in the transaction. The base is raised when the ids
  -- of the server are behind the events, after a dump was read into another server.
  position_base BIGINT NOT NULL
);

CREATE TABLE tenant (
  id BYTEA PRIMARY KEY,
  name TEXT COLLATE "C" NOT NULL,
  secret BYTEA NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE signing_key (
  kid TEXT COLLATE "C" PRIMARY KEY,
  public BYTEA NOT NULL,
  created_at BIGINT NOT NULL
);

-- `doc` is JSON of what no column says of the record, but for `spec`: columns repeat what lists filter by. `ended` and `finished_at` are null while the task
-- lives, so that the partial indexes change once in its life.
CREATE TABLE task (
  tenant BYTEA NOT NULL,
  id BYTEA NOT NULL,
  state SMALLINT NOT NULL,
  priority INTEGER NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  created_by BYTEA NOT NULL,
  running_us BIGINT NOT NULL,
  event_bytes BIGINT NOT NULL,
  ended SMALLINT,
  finished_at BIGINT,
  head_seq BIGINT NOT NULL,
  head_ts BIGINT NOT NULL,
  head_hash BYTEA NOT NULL,
  parent BYTEA,
  session BYTEA,
  key TEXT COLLATE "C",
  labels TEXT COLLATE "C",
  search TEXT COLLATE "C",
  data_subject TEXT COLLATE "C",
  kid TEXT COLLATE "C",
  signature BYTEA,
  doc BYTEA NOT NULL,
  PRIMARY KEY (tenant, id)
);

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
  tenant BYTEA NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  state BIGINT NOT NULL,
  tasks BIGINT NOT NULL,
  running_us BIGINT NOT NULL,
  event_bytes BIGINT NOT NULL,
  PRIMARY KEY (tenant, queue, state)
);

-- Heads of streams that are no task's. `id` is the first half of the SHA-256 of the name.
CREATE TABLE stream (
  id BYTEA PRIMARY KEY,
  tenant BYTEA NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  segment BIGINT NOT NULL,
  head_seq BIGINT NOT NULL,
  head_ts BIGINT NOT NULL,
  head_hash BYTEA NOT NULL,
  UNIQUE (tenant, segment)
);

-- `type` is one letter for the most common types. `actor` is a byte for the prefix of an id and its bytes, without the zeros at their
-- end, or a zero and text. `data_hash` is kept only where the payload is gone: else it is computed. Codec 0 is plain.
CREATE TABLE event (
  pos BIGINT PRIMARY KEY,
  stream BYTEA NOT NULL,
  seq BIGINT NOT NULL,
  tenant BYTEA NOT NULL,
  v INTEGER NOT NULL,
  body_v INTEGER NOT NULL,
  ts BIGINT NOT NULL,
  type TEXT COLLATE "C" NOT NULL,
  actor BYTEA NOT NULL,
  trace TEXT COLLATE "C",
  hash BYTEA NOT NULL,
  data_hash BYTEA,
  codec SMALLINT,
  salt BYTEA,
  data BYTEA,
  UNIQUE (stream, seq),
  CHECK ((data IS NULL) = (salt IS NULL) AND (data IS NULL) = (codec IS NULL) AND (data IS NULL) = (data_hash IS NOT NULL))
);

CREATE TABLE anchor (
  stream BYTEA PRIMARY KEY,
  tenant BYTEA NOT NULL,
  upto_seq BIGINT NOT NULL,
  jws TEXT COLLATE "C" NOT NULL
);

-- Events of a stream may be deleted up to this number, within the transaction that says so.
CREATE TABLE event_removal (
  stream BYTEA PRIMARY KEY,
  upto_seq BIGINT NOT NULL
);

CREATE FUNCTION event_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF OLD.data IS NOT NULL AND NEW.data IS NULL AND NEW.salt IS NULL AND NEW.codec IS NULL AND length(NEW.data_hash) = 32
      AND (NEW.pos, NEW.stream, NEW.seq, NEW.tenant, NEW.v, NEW.body_v, NEW.ts, NEW.type, NEW.actor, NEW.trace, NEW.hash)
        IS NOT DISTINCT FROM
        (OLD.pos, OLD.stream, OLD.seq, OLD.tenant, OLD.v, OLD.body_v, OLD.ts, OLD.type, OLD.actor, OLD.trace, OLD.hash)
    THEN
      RETURN NEW;
    END IF;
    RAISE EXCEPTION 'events are never changed: only a payload may be removed';
  ELSIF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT 1 FROM event_removal AS r WHERE r.stream = OLD.stream AND r.upto_seq >= OLD.seq) THEN
      RETURN OLD;
    END IF;
    RAISE EXCEPTION 'events are never deleted one by one: only a stream is removed or trimmed';
  END IF;
  RAISE EXCEPTION 'events are never emptied out';
END
$$;

CREATE TRIGGER event_change BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION event_guard();
CREATE TRIGGER event_truncate BEFORE TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION event_guard();

CREATE TABLE task_key (
  hash BYTEA PRIMARY KEY,
  tenant BYTEA NOT NULL,
  task BYTEA NOT NULL,
  request BYTEA NOT NULL,
  deleted_at BIGINT
);

CREATE INDEX task_key_task ON task_key (task);
CREATE INDEX task_key_deleted ON task_key (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE lane (
  id BIGINT PRIMARY KEY,
  queue TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  kind_version BIGINT,
  requires TEXT COLLATE "C" NOT NULL
);

-- `rank` is the priority with its sign turned, so that the key is the order of the queue.
CREATE TABLE queue (
  lane BIGINT NOT NULL,
  tenant BYTEA NOT NULL,
  rank INTEGER NOT NULL,
  task BYTEA NOT NULL,
  since BIGINT NOT NULL,
  concurrency BYTEA,
  concurrency_limit BIGINT,
  PRIMARY KEY (lane, tenant, rank, task)
);

CREATE INDEX queue_task ON queue (task);

CREATE TABLE lease (
  task BYTEA PRIMARY KEY,
  tenant BYTEA NOT NULL,
  epoch BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  nonce BIGINT NOT NULL,
  worker BYTEA NOT NULL,
  incarnation BYTEA,
  expires_at BIGINT NOT NULL,
  batch BIGINT NOT NULL,
  concurrency BYTEA
);

CREATE TABLE timer (
  task BYTEA PRIMARY KEY,
  tenant BYTEA NOT NULL,
  at BIGINT NOT NULL
);

CREATE INDEX timer_at ON timer (at, tenant, task);

-- `how` is 0 for completed, 1 for ended.
CREATE TABLE dependency (
  dependent BYTEA NOT NULL,
  prerequisite BYTEA NOT NULL,
  tenant BYTEA NOT NULL,
  how SMALLINT NOT NULL,
  PRIMARY KEY (dependent, prerequisite)
);

CREATE INDEX dependency_prerequisite ON dependency (prerequisite, dependent);

CREATE TABLE outbox (
  task BYTEA PRIMARY KEY,
  tenant BYTEA NOT NULL
);

CREATE TABLE worker (
  id BYTEA PRIMARY KEY,
  doc BYTEA NOT NULL
);

CREATE TABLE paused_queue (
  queue TEXT COLLATE "C" PRIMARY KEY
);

-- What is done every hour or so. `upto` is the place of the last finished task that was looked at.
CREATE TABLE job (
  name TEXT COLLATE "C" PRIMARY KEY,
  ran_at BIGINT NOT NULL,
  upto_at BIGINT,
  upto_task BYTEA
);

CREATE TABLE blob (
  tenant BYTEA NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  size BIGINT NOT NULL,
  media_type TEXT COLLATE "C" NOT NULL,
  inner_hash BYTEA NOT NULL,
  salt BYTEA NOT NULL,
  put_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE blob_use (
  tenant BYTEA NOT NULL,
  blob TEXT COLLATE "C" NOT NULL,
  task BYTEA NOT NULL,
  PRIMARY KEY (tenant, blob, task)
);

CREATE INDEX blob_use_task ON blob_use (task);

-- Rows of these change often and are few: dead ones are taken away early, and an update finds room on its page.
ALTER TABLE task SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
ALTER TABLE stream SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 100);
ALTER TABLE queue SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
ALTER TABLE lease SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
ALTER TABLE timer SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
ALTER TABLE event_removal SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 100);
ALTER TABLE worker SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 50);
ALTER TABLE event SET (autovacuum_vacuum_insert_scale_factor = 0.05);
