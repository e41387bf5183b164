-- Addresses to which events of a tenant are sent, and what was sent there.
CREATE TABLE webhooks (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  url text NOT NULL,
  -- `*`, `cluster.*` or `job.JobFailed`.
  events text[] NOT NULL CHECK (cardinality(events) >= 1),
  description text NOT NULL,
  -- Sealed with the control plane's key, for this row.
  sealed_secret bytea NOT NULL,
  -- The secret before, with which messages are signed too until then.
  sealed_previous bytea,
  previous_until timestamptz,
  -- Events up to this one have their deliveries.
  after_sequence bigint NOT NULL,
  -- When a message last arrived, and since when none has.
  delivered_at timestamptz,
  failing_since timestamptz,
  disabled_at timestamptz,
  disabled_reason text,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((sealed_previous IS NULL) = (previous_until IS NULL)),
  CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
CREATE INDEX webhooks_by_tenant ON webhooks (tenant_id, created_at);

CREATE TABLE webhook_deliveries (
  id text PRIMARY KEY,
  webhook_id text NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  -- Null: a message to try the address with.
  event_sequence bigint,
  type text NOT NULL,
  -- As it is signed and sent, at each attempt the same.
  body text NOT NULL,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
  attempts int NOT NULL DEFAULT 0,
  -- The earliest time of the next attempt; while one is under way, when another may be made should it never be heard of again.
  next_at timestamptz DEFAULT now(),
  last_at timestamptz,
  last_status int,
  last_error text,
  last_ms int,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((state = 'pending') = (next_at IS NOT NULL)),
  -- An event comes to an address as one message.
  UNIQUE (webhook_id, event_sequence)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (webhook_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (created_at) WHERE state <> 'pending';

-- The permissions are new, and a key has those that it was made with: events leave by them, so who may read events and
-- see the account may see where they go, and who may change the account may send them there.
UPDATE api_keys SET scopes = array_append(scopes, 'webhooks:read')
WHERE 'accounts:write' = ANY (scopes) AND 'events:read' = ANY (scopes) AND NOT 'webhooks:read' = ANY (scopes);
UPDATE api_keys SET scopes = array_append(scopes, 'webhooks:write')
WHERE 'accounts:write' = ANY (scopes) AND 'events:read' = ANY (scopes) AND NOT 'webhooks:write' = ANY (scopes);
