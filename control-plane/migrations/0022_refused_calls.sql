-- Calls that were refused: those of one minute that differ in nothing else share a row, so that a flood of them stays small.
CREATE TABLE refused_calls (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  minute timestamptz NOT NULL,
  operation text NOT NULL,
  -- The id in the path, or empty; and whose it is, where it is an id that is unique over all tenants.
  target text NOT NULL,
  target_tenant_id text,
  -- Who called, where a key said so: that of a key that is no longer valid stands in key_id alone.
  caller_tenant_id text,
  key_id text NOT NULL,
  address text NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('unauthenticated', 'permission-denied', 'not-found')),
  count int NOT NULL,
  UNIQUE (minute, operation, target, key_id, address, outcome)
);
CREATE INDEX refused_calls_of_target ON refused_calls (target_tenant_id, id) WHERE target_tenant_id IS NOT NULL;
CREATE INDEX refused_calls_of_caller ON refused_calls (caller_tenant_id, id) WHERE caller_tenant_id IS NOT NULL;
CREATE INDEX refused_calls_age ON refused_calls (minute);
