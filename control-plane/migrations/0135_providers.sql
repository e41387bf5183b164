-- Kubernetes clusters whose nodes are machines.
CREATE TABLE providers (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  kind text NOT NULL CHECK (kind = 'kubernetes'),
  name text NOT NULL,
  -- Null: the cluster that the control plane itself runs in.
  server text,
  -- How it is reached, with what proves us: JSON, sealed with the control plane's key for this row.
  sealed_access bytea NOT NULL,
  namespace text NOT NULL,
  image text NOT NULL,
  node_selector text NOT NULL,
  shared boolean NOT NULL,
  -- What its machines are enrolled with.
  terms jsonb NOT NULL,
  state text NOT NULL DEFAULT 'connecting' CHECK (state IN ('connecting', 'connected', 'unreachable')),
  message text NOT NULL DEFAULT '',
  kubernetes_version text NOT NULL DEFAULT '',
  lacking jsonb NOT NULL DEFAULT '[]',
  heard_at timestamptz,
  -- Names the advisory lock of who looks after it.
  serial bigint GENERATED ALWAYS AS IDENTITY,
  removed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX providers_name ON providers (tenant_id, name) WHERE removed_at IS NULL;

-- A machine that no agent runs is a node of a provider: it has no key that could be proven.
ALTER TABLE nodes
  ADD COLUMN provider_id text REFERENCES providers,
  -- The node's own name and uid there. One that is made anew under its name is another machine.
  ADD COLUMN provider_node text,
  ADD COLUMN provider_uid text,
  ALTER COLUMN public_key DROP NOT NULL,
  ADD CHECK ((provider_id IS NULL) = (public_key IS NOT NULL)),
  ADD CHECK ((provider_id IS NULL) = (provider_uid IS NULL)),
  ADD CHECK ((provider_id IS NULL) = (provider_node IS NULL));
CREATE UNIQUE INDEX nodes_of_provider ON nodes (provider_id, provider_uid) WHERE provider_id IS NOT NULL;

-- The one pod that ever ran a lease, named before anybody counts on it. Another in its place does not run the lease.
CREATE TABLE lease_pods (
  lease_id text PRIMARY KEY REFERENCES leases ON DELETE CASCADE,
  provider_id text NOT NULL REFERENCES providers,
  -- Null: none ever came.
  pod_name text,
  pod_uid text,
  -- Why it has ended for good; null: that has not been seen.
  ended text,
  CHECK ((pod_name IS NULL) = (pod_uid IS NULL)),
  CHECK (pod_uid IS NOT NULL OR ended IS NOT NULL)
);
CREATE INDEX lease_pods_live ON lease_pods (provider_id) WHERE ended IS NULL;
