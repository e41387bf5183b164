-- Clusters state a budget, an end, a priority and whether they may be stopped for urgent work.
UPDATE clusters SET spec = '{"waitForMachines":false,"budgetMicroUsd":null,"until":null,"priority":"normal","preemptible":false}'::jsonb
  || spec;

-- What the lease costs, at its machine's prices when it was made: from created_at to released_at this is what a cluster
-- has spent.
ALTER TABLE leases ADD COLUMN micro_usd_per_hour bigint NOT NULL DEFAULT 0 CHECK (micro_usd_per_hour >= 0);

-- `clusterOver`: its cluster's budget or time is over.
ALTER TABLE job_attempts DROP CONSTRAINT job_attempts_evict_cause_check;
ALTER TABLE job_attempts ADD CONSTRAINT job_attempts_evict_cause_check
  CHECK (evict_cause IN ('drained', 'clusterOver', 'preempted', 'reclaimed', 'budget'));
