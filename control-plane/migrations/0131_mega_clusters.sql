-- Mega-Ray clusters: a wish for so many clusters alike ("cells"), which are ordinary rows of `clusters`.
CREATE TABLE mega_clusters (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  name text NOT NULL,
  spec jsonb NOT NULL,
  desired text NOT NULL DEFAULT 'running' CHECK (desired IN ('running', 'deleted')),
  phase text NOT NULL DEFAULT 'pending' CHECK (phase IN ('pending', 'ready', 'degraded', 'deleting', 'deleted')),
  generation int NOT NULL DEFAULT 1,
  observed_generation int NOT NULL DEFAULT 0,
  -- Of what a cell shall be: a cell that was made by an earlier one is replaced.
  revision int NOT NULL DEFAULT 1,
  conditions jsonb NOT NULL DEFAULT '[]',
  -- When time alone makes a difference next.
  look_at timestamptz,
  created_at timestamptz NOT NULL,
  ready_at timestamptz,
  deleted_at timestamptz,
  UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX mega_clusters_live_name ON mega_clusters (tenant_id, name) WHERE phase <> 'deleted';
CREATE INDEX mega_clusters_live ON mega_clusters (id) WHERE phase <> 'deleted';

CREATE TABLE mega_cells (
  cluster_id text PRIMARY KEY,
  tenant_id text NOT NULL,
  mega_id text NOT NULL,
  ordinal int NOT NULL CHECK (ordinal >= 0),
  revision int NOT NULL,
  -- Asked to leave: why, and by when it goes even with jobs.
  leaving text,
  leaves_by timestamptz,
  -- Its cluster is deleted.
  gone_at timestamptz,
  FOREIGN KEY (tenant_id, mega_id) REFERENCES mega_clusters (tenant_id, id),
  FOREIGN KEY (tenant_id, cluster_id) REFERENCES clusters (tenant_id, id),
  CHECK ((leaving IS NULL) = (leaves_by IS NULL))
);
CREATE UNIQUE INDEX mega_cells_place ON mega_cells (mega_id, ordinal) WHERE gone_at IS NULL;
CREATE INDEX mega_cells_of ON mega_cells (mega_id);

ALTER TABLE clusters
  -- What it is a cell of: jobs that name that may run on it.
  ADD COLUMN mega_id text,
  ADD COLUMN mega_name text,
  -- Over what it is placed apart from the other cells: {by, mode}.
  ADD COLUMN spread jsonb,
  -- It is to go: no new jobs, for this reason.
  ADD COLUMN leaving text,
  ADD CHECK ((mega_id IS NULL) = (mega_name IS NULL));
CREATE INDEX clusters_of_mega ON clusters (mega_id) WHERE mega_id IS NOT NULL AND phase <> 'deleted';
