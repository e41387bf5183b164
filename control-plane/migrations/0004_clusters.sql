CREATE TABLE clusters (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  name text NOT NULL,
  spec jsonb NOT NULL,
  origin text NOT NULL CHECK (origin IN ('user', 'job')),
  desired text NOT NULL CHECK (desired IN ('running', 'stopped', 'deleted')),
  phase text NOT NULL CHECK (
    phase IN ('pending', 'provisioning', 'ready', 'stopping', 'stopped', 'deleting', 'deleted')
  ),
  generation int NOT NULL DEFAULT 1,
  observed_generation int NOT NULL DEFAULT 0,
  conditions jsonb NOT NULL DEFAULT '[]',
  -- The cluster's own Ray token, sealed with the control plane's key (AES-256-GCM).
  sealed_token bytea NOT NULL,
  -- Places whose Ray nodes failed: {"head/0": {failures, retryAt}}; the next start waits until then.
  retries jsonb NOT NULL DEFAULT '{}',
  -- The earliest time at which time alone makes a difference (a retry, an idle timeout); null: only news does.
  look_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  ready_at timestamptz,
  idle_since timestamptz,
  -- When its head last said that it runs jobs which came past this control plane.
  direct_busy_at timestamptz,
  deleted_at timestamptz,
  UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX clusters_live_name ON clusters (tenant_id, name) WHERE phase <> 'deleted';
CREATE INDEX clusters_live ON clusters (id) WHERE phase <> 'deleted';
CREATE INDEX clusters_by_tenant ON clusters (tenant_id, created_at DESC, id DESC);

-- One Ray node of a cluster on one machine, with what it reserves there.
CREATE TABLE leases (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  cluster_id text NOT NULL,
  node_id text NOT NULL REFERENCES nodes,
  role text NOT NULL CHECK (role IN ('head', 'worker')),
  group_name text NOT NULL,
  ordinal int NOT NULL CHECK (ordinal >= 0),
  phase text NOT NULL DEFAULT 'pending' CHECK (phase IN ('pending', 'starting', 'ready', 'exited', 'lost')),
  message text NOT NULL DEFAULT '',
  -- False once the lease shall end; the row is released when the agent has confirmed that nothing of it runs.
  desired boolean NOT NULL DEFAULT true,
  -- The node's desired revision that first left this lease out: an observation that is not older and does not show the
  -- lease proves that it has ended.
  undesired_revision bigint,
  released_at timestamptz,
  cpus double precision NOT NULL CHECK (cpus >= 0),
  memory_bytes bigint NOT NULL CHECK (memory_bytes >= 0),
  -- What the agent is told, less the token.
  spec jsonb NOT NULL,
  -- One of its accelerators exists by configuration only.
  simulated boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  ready_at timestamptz,
  -- When it was first seen to have exited.
  exited_at timestamptz,
  FOREIGN KEY (tenant_id, cluster_id) REFERENCES clusters (tenant_id, id)
);
-- At most one live head, and one Ray node for each place in a group: a second one is refused by the database.
CREATE UNIQUE INDEX leases_place ON leases (cluster_id, group_name, ordinal) WHERE released_at IS NULL;
CREATE INDEX leases_by_node ON leases (node_id) WHERE released_at IS NULL;
CREATE INDEX leases_by_cluster ON leases (cluster_id);

-- A device is in at most one live lease.
CREATE TABLE lease_devices (
  lease_id text NOT NULL REFERENCES leases,
  node_id text NOT NULL REFERENCES nodes,
  device_index int NOT NULL,
  released boolean NOT NULL DEFAULT false,
  PRIMARY KEY (lease_id, device_index)
);
CREATE UNIQUE INDEX lease_devices_exclusive ON lease_devices (node_id, device_index) WHERE NOT released;

-- Dashboard links that were used: each logs in once. Rows are kept until the link would have expired anyway.
CREATE TABLE dashboard_links_used (
  id text PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
