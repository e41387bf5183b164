-- Machines that ask to join, each until it has been approved or its time is over (JoiningMachine of the contracts).
CREATE TABLE device_authorizations (
  device_code_hash bytea PRIMARY KEY,
  user_code text NOT NULL UNIQUE,
  public_key text NOT NULL,
  machine jsonb NOT NULL,
  address text NOT NULL,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'denied')),
  tenant_id text REFERENCES tenants (id),
  node_id text REFERENCES nodes (id),
  -- The latest of each step, by its name.
  progress jsonb NOT NULL DEFAULT '{}',
  requested_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  CHECK ((status = 'approved') = (node_id IS NOT NULL)),
  CHECK ((status = 'pending') = (tenant_id IS NULL))
);
CREATE INDEX device_authorizations_age ON device_authorizations (requested_at);
