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
CREATE INDEX packages_by_use ON packages (used_at);

CREATE TABLE jobs (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  submission_id text NOT NULL,
  -- The submission as the client sent it, so that every attempt starts from the same. json, not jsonb: the order of
  -- its keys is the user's, and jsonb refuses texts that JSON allows.
  submission json NOT NULL,
  -- What it asks for ({cpus, gpus, memoryBytes, resources, labelSelector}) and the cluster that it names, if any.
  needs json NOT NULL,
  wanted_cluster text,
  -- Names of the tenant's packages that it refers to: they are kept while it lives.
  packages text[] NOT NULL DEFAULT '{}',
  phase text NOT NULL CHECK (
    phase IN ('queued', 'assigned', 'running', 'stopping', 'succeeded', 'failed', 'stopped')
  ),
  message text NOT NULL,
  error_type text,
  max_attempts int NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
  attempt_count int NOT NULL DEFAULT 0,
  cluster_id text REFERENCES clusters,
  -- What Ray's job list says of it, rendered at each change: ten thousand jobs are listed without building one.
  ray_view text NOT NULL,
  ray_job_id text,
  -- What only the head knows: {job_id, driver_info, driver_agent_http_address, driver_node_id, driver_exit_code}.
  ray_facts json,
  submitted_at timestamptz NOT NULL,
  not_before timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  ended_at timestamptz,
  UNIQUE (tenant_id, submission_id),
  UNIQUE (tenant_id, id),
  CHECK ((phase IN ('succeeded', 'failed', 'stopped')) = (ended_at IS NOT NULL)),
  CHECK (attempt_count <= max_attempts)
);
CREATE INDEX jobs_queue ON jobs (submitted_at, id) WHERE phase = 'queued';
CREATE INDEX jobs_live ON jobs (tenant_id) WHERE phase NOT IN ('succeeded', 'failed', 'stopped');
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
  -- The head's last word on a job that has ended there, kept until the log has been read to its end.
  reported json,
  -- Bytes of the driver's log that are kept: all chunks, without a gap, up to here.
  log_bytes bigint NOT NULL DEFAULT 0,
  log_complete boolean NOT NULL DEFAULT false,
  log_truncated boolean NOT NULL DEFAULT false,
  -- Resources that it holds of its cluster while it lives: {cpus, gpus, memoryBytes, resources}.
  reserved jsonb NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  UNIQUE (job_id, number),
  CHECK ((phase = 'ended') = (outcome IS NOT NULL)),
  CHECK ((phase = 'ended') = (ended_at IS NOT NULL)),
  CHECK (phase <> 'ended' OR log_complete)
);
-- Fencing: at most one attempt of a job lives.
CREATE UNIQUE INDEX job_attempts_one_live ON job_attempts (job_id) WHERE phase <> 'ended';
CREATE INDEX job_attempts_live ON job_attempts (cluster_id) WHERE phase <> 'ended';

-- Every submission id that a cluster has seen from us. A Ray head appends to the log file of an id that comes again, so
-- none is used twice on a cluster, not even after its job was deleted here.
CREATE TABLE ray_submission_ids (
  cluster_id text NOT NULL REFERENCES clusters,
  ray_submission_id text NOT NULL,
  ended_at timestamptz,
  PRIMARY KEY (cluster_id, ray_submission_id)
);

CREATE TABLE job_log_chunks (
  attempt_id text NOT NULL REFERENCES job_attempts ON DELETE CASCADE,
  start_byte bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (attempt_id, start_byte)
);
-- Log text compresses well, but time matters more than space while a job floods it.
ALTER TABLE job_log_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
