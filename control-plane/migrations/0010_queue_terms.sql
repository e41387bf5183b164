-- The terms by which a tenant's work is queued, of those tenants whose terms are not the defaults: weight 1, nothing
-- limited, no cohort. Amounts are those of the queue: integers by 'gpu-thousandths', 'cpu-thousandths', 'memory-bytes'.
CREATE TABLE queue_terms (
  tenant_id text PRIMARY KEY REFERENCES tenants,
  weight double precision NOT NULL CHECK (weight > 0 AND weight < 'Infinity'),
  -- What it is sure of; null: not limited.
  quota jsonb CHECK (jsonb_typeof(quota) = 'object' AND quota <> '{}'),
  cohort text,
  borrowing_limit jsonb NOT NULL CHECK (jsonb_typeof(borrowing_limit) = 'object'),
  changed_at timestamptz NOT NULL DEFAULT now(),
  CHECK (cohort IS NULL OR quota IS NOT NULL),
  CHECK (cohort IS NOT NULL OR borrowing_limit = '{}')
);

-- Who may make tenants may also look at them: the permission is new, and a key has those that it was made with.
UPDATE api_keys SET scopes = array_append(scopes, 'tenants:read')
WHERE 'tenants:write' = ANY (scopes) AND NOT 'tenants:read' = ANY (scopes);
