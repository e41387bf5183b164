-- The SSH keys by which renters reach their leases. A key says who connects, so it is of one user in all.
CREATE TABLE ssh_keys (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  user_id text NOT NULL,
  name text NOT NULL,
  -- `<type> <base64>`, without the comment.
  public_key text NOT NULL UNIQUE,
  fingerprint text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz,
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ssh_keys_by_tenant ON ssh_keys (tenant_id, id);

-- Each shell, command, transfer and forward into a lease, and each that was refused to somebody who is known. Never what
-- it carried. Without foreign keys: a record outlives the key, the user and the lease.
CREATE TABLE ssh_sessions (
  id text PRIMARY KEY,
  sequence bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  tenant_id text NOT NULL REFERENCES tenants,
  user_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('shell', 'exec', 'sftp', 'forward', 'socket')),
  via text NOT NULL CHECK (via IN ('ssh', 'browser', 'api')),
  key_fingerprint text,
  api_key_id text,
  address text NOT NULL,
  cluster_id text,
  lease_id text,
  node_id text,
  target text,
  bytes_in bigint NOT NULL DEFAULT 0 CHECK (bytes_in >= 0),
  bytes_out bigint NOT NULL DEFAULT 0 CHECK (bytes_out >= 0),
  started_at timestamptz NOT NULL DEFAULT now(),
  -- Kept fresh by the process that carries it: one that has not been for a while ended with its process.
  seen_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  end_reason text,
  CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
  CHECK ((key_fingerprint IS NULL) <> (api_key_id IS NULL))
);
CREATE INDEX ssh_sessions_by_tenant ON ssh_sessions (tenant_id, sequence DESC);
CREATE INDEX ssh_sessions_live ON ssh_sessions (seen_at) WHERE ended_at IS NULL;

-- The permission is new, and a key has those that it was made with: who may run jobs and make clusters may enter them.
UPDATE api_keys SET scopes = array_append(scopes, 'clusters:connect')
WHERE scopes @> ARRAY['jobs:write', 'clusters:write'] AND NOT 'clusters:connect' = ANY (scopes);
