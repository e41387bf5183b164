CREATE TABLE nodes (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  name text NOT NULL,
  -- The device key, normalised to `ssh-ed25519 <base64>`: what its connection must prove that it holds.
  public_key text NOT NULL UNIQUE,
  shared boolean NOT NULL DEFAULT false,
  inventory jsonb,
  online boolean NOT NULL DEFAULT false,
  last_heartbeat_at timestamptz,
  -- Grows with every change of what the node shall run.
  desired_revision bigint NOT NULL DEFAULT 1,
  observed_revision bigint NOT NULL DEFAULT 0,
  removed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX nodes_name ON nodes (tenant_id, name) WHERE removed_at IS NULL;
