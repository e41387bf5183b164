-- Array jobs: one submission, many indices. The array is a row that never runs itself; each index is a job of its own
-- that names it, so that queue, attempts and retries treat it like any other.
ALTER TABLE jobs
  -- Of an array and of each of its indices.
  ADD COLUMN array_size int CHECK (array_size >= 1),
  ADD COLUMN array_max_parallel int CHECK (array_max_parallel >= 1),
  -- Of an array: how many of its indices are in which state, as last counted.
  ADD COLUMN array_counts json,
  -- Of an index.
  ADD COLUMN array_id text,
  ADD COLUMN array_index int CHECK (array_index >= 0),
  -- Not for the scheduler: an array itself, and an index whose turn has not come.
  ADD COLUMN held boolean NOT NULL DEFAULT false,
  ADD FOREIGN KEY (tenant_id, array_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE,
  ADD CHECK ((array_id IS NULL) = (array_index IS NULL)),
  ADD CHECK (array_id IS NULL OR array_index < array_size),
  ADD CHECK (array_size IS NULL OR array_id IS NOT NULL OR (held AND attempt_count = 0 AND cluster_id IS NULL));
CREATE UNIQUE INDEX jobs_of_array ON jobs (array_id, array_index) WHERE array_id IS NOT NULL;
CREATE INDEX jobs_of_array_by_state ON jobs (array_id, phase, held) WHERE array_id IS NOT NULL;
CREATE INDEX jobs_live_arrays ON jobs (id)
  WHERE array_size IS NOT NULL AND array_id IS NULL AND phase NOT IN ('succeeded', 'failed', 'stopped');

DROP INDEX jobs_queue;
CREATE INDEX jobs_queue ON jobs (queue_at, id) WHERE phase = 'queued' AND NOT held;
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (not_before) WHERE phase = 'queued' AND NOT held;
-- Lists show arrays, not their indices.
DROP INDEX jobs_by_age;
CREATE INDEX jobs_by_age ON jobs (tenant_id, submitted_at DESC, id DESC) WHERE array_id IS NULL;
