-- Runtime-env packages. Names are the client's (Ray derives them from a hash that we do not trust), so they are
-- private to a tenant; the contents are shared by their own SHA-256.
CREATE TABLE packages (
  tenant_id text NOT NULL REFERENCES tenants,
  name text NOT NULL,
  sha256 text NOT NULL,
  size_bytes bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, name)
);
CREATE INDEX packages_by_content ON packages (sha256);

CREATE TABLE jobs (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  submission_id text NOT NULL,
  -- The submission as the client sent it, so that every attempt starts from the same.
  submission jsonb NOT NULL,
  phase text NOT NULL CHECK (
    phase IN ('queued', 'assigned', 'running', 'stopping', 'succeeded', 'failed', 'stopped')
  ),
  message text,
  error_type text,
  max_attempts int NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
  attempt_count int NOT NULL DEFAULT 0,
  cluster_id text REFERENCES clusters,
  -- What Ray's job list says of it, rendered at each change: ten thousand jobs are listed without building one.
  ray_view text NOT NULL,
  ray_job_id text,
  submitted_at timestamptz NOT NULL DEFAULT now(),
  not_before timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  ended_at timestamptz,
  UNIQUE (tenant_id, submission_id),
  UNIQUE (tenant_id, id)
);
CREATE INDEX jobs_queue ON jobs (submitted_at, id) WHERE phase = 'queued';
CREATE INDEX jobs_live ON jobs (cluster_id) WHERE phase IN ('assigned', 'running', 'stopping');
CREATE INDEX jobs_by_age ON jobs (tenant_id, submitted_at DESC, id DESC);
CREATE INDEX jobs_by_ray_id ON jobs (tenant_id, ray_job_id) WHERE ray_job_id IS NOT NULL;

CREATE TABLE job_attempts (
  id text PRIMARY KEY,
  job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
  number int NOT NULL,
  cluster_id text NOT NULL REFERENCES clusters,
  -- The head on which it was started: its loss is the attempt's loss.
  head_lease_id text NOT NULL REFERENCES leases,
  ray_submission_id text NOT NULL,
  phase text NOT NULL CHECK (phase IN ('assigned', 'submitted', 'running', 'ended')),
  outcome text CHECK (outcome IN ('succeeded', 'failed', 'stopped', 'lost')),
  message text,
  log_bytes bigint NOT NULL DEFAULT 0,
  log_complete boolean NOT NULL DEFAULT false,
  -- Resources that it holds of its cluster while it lives: {cpus, gpus, memoryBytes, resources}.
  reserved jsonb NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  UNIQUE (job_id, number),
  CHECK ((phase = 'ended') = (outcome IS NOT NULL))
);
-- Fencing: at most one attempt of a job lives.
CREATE UNIQUE INDEX job_attempts_one_live ON job_attempts (job_id) WHERE phase <> 'ended';
CREATE INDEX job_attempts_live ON job_attempts (cluster_id) WHERE phase <> 'ended';

CREATE TABLE job_log_chunks (
  attempt_id text NOT NULL REFERENCES job_attempts ON DELETE CASCADE,
  start_byte bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (attempt_id, start_byte)
);
-- Log text compresses well, but time matters more than space while a job floods it.
ALTER TABLE job_log_chunks ALTER COLUMN data SET COMPRESSION lz4;
