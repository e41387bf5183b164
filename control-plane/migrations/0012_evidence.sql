-- What happened on machines and has not been counted in `standings` yet: written by the transaction in which it happens,
-- folded and deleted in batches (inventory/evidence.ts). No foreign keys: each insert would lock a machine's row, which its
-- heartbeats write, and evidence of a machine that is no more is worth nothing.
CREATE TABLE evidence (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node_id text NOT NULL,
  -- Whose job it was.
  renter_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('attemptEnded', 'attemptInterrupted', 'rayNodeLost', 'drained', 'rated')),
  stars int CHECK (stars BETWEEN 1 AND 5),
  happened_at timestamptz NOT NULL,
  CHECK ((kind = 'rated') = (stars IS NOT NULL))
);

-- It ended by itself, or with its machine, though it was to run: what ran on it was interrupted.
ALTER TABLE leases ADD COLUMN failed boolean NOT NULL DEFAULT false;
