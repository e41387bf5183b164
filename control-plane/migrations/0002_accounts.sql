CREATE TABLE tenants (
  id text PRIMARY KEY,
  name text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  name text NOT NULL,
  role text NOT NULL CHECK (role IN ('operator', 'owner', 'member', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, name),
  UNIQUE (tenant_id, id)
);

-- Only the SHA-256 of the secret is kept: it has 256 random bits, so no slow hash is needed against guessing.
CREATE TABLE api_keys (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  user_id text NOT NULL,
  name text NOT NULL,
  secret_hash bytea NOT NULL CHECK (length(secret_hash) = 32),
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);

-- The answer to a call that carried an Idempotency-Key, committed with the call's effect.
CREATE TABLE idempotency_keys (
  tenant_id text NOT NULL REFERENCES tenants,
  key text NOT NULL,
  operation text NOT NULL,
  request_hash bytea NOT NULL,
  response jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE events (
  sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  at timestamptz NOT NULL DEFAULT now(),
  subject_kind text NOT NULL CHECK (subject_kind IN ('job', 'cluster', 'node', 'account')),
  subject text NOT NULL,
  reason text NOT NULL,
  message text NOT NULL,
  severity text NOT NULL CHECK (severity IN ('info', 'warning')),
  -- The writing transaction. A reader stops before the oldest transaction still open, so that a sequence number that
  -- commits late is never skipped over by a stream that has already passed it.
  xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX events_by_tenant ON events (tenant_id, sequence);
CREATE INDEX events_by_subject ON events (tenant_id, subject, sequence);
