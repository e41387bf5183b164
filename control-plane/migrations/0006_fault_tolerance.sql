-- Draining: a machine whose work moves away. `drain_deadline` is when what is left of it is ended.
ALTER TABLE nodes
  ADD COLUMN scheduling text NOT NULL DEFAULT 'active' CHECK (scheduling IN ('active', 'draining', 'drained')),
  ADD COLUMN drain_reason text,
  ADD COLUMN drain_requested_at timestamptz,
  ADD COLUMN drain_deadline timestamptz,
  ADD CHECK ((scheduling = 'active') = (drain_deadline IS NULL)),
  ADD CHECK ((drain_deadline IS NULL) = (drain_reason IS NULL)),
  ADD CHECK ((drain_deadline IS NULL) = (drain_requested_at IS NULL));
CREATE INDEX nodes_draining ON nodes (id) WHERE scheduling = 'draining';

-- An attempt that was moved away is no fault of anybody: it does not count against max_attempts.
ALTER TABLE jobs ADD COLUMN evicted_count int NOT NULL DEFAULT 0;
ALTER TABLE jobs DROP CONSTRAINT jobs_check1;
ALTER TABLE jobs ADD CONSTRAINT jobs_attempts_left CHECK (attempt_count - evicted_count <= max_attempts);
CREATE INDEX jobs_waiting ON jobs (not_before) WHERE phase = 'queued';

ALTER TABLE job_attempts
  DROP CONSTRAINT job_attempts_outcome_check,
  ADD CONSTRAINT job_attempts_outcome_check CHECK (
    outcome IN ('succeeded', 'failed', 'stopped', 'lost', 'evicted')),
  -- Set before the job is first sent to the head: from then on it may run there, whatever we hear.
  ADD COLUMN sent_at timestamptz,
  -- Asked to end and go back into the queue: why, and by when it is expected to have ended.
  ADD COLUMN evict_reason text,
  ADD COLUMN evict_deadline timestamptz,
  ADD CHECK ((evict_reason IS NULL) = (evict_deadline IS NULL));
