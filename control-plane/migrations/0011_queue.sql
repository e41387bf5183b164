-- How a job is queued, with all that it may state since now.
UPDATE jobs SET scheduling = ('{"preemptible":false,"deadline":null,"expectedSeconds":null,"cheapMicroUsdPerHour":null,"budgetMicroUsd":null}'::jsonb
  || scheduling::jsonb)::json;

ALTER TABLE jobs
  -- What its attempts that have ended have cost, micro-USD: counted against its budget.
  ADD COLUMN spent_micro_usd bigint NOT NULL DEFAULT 0,
  -- Since when it waits to borrow of its cohort's quota: it may not wait for ever behind later ones.
  ADD COLUMN loan_since timestamptz;

ALTER TABLE job_attempts
  -- The price of what is set aside for it, micro-USD per hour.
  ADD COLUMN micro_usd_per_hour bigint NOT NULL DEFAULT 0,
  -- When it must be asked to end so that its job's budget is not passed.
  ADD COLUMN stop_at timestamptz,
  -- Something can be decided about it while it runs: it may be stopped for others, has a budget, or its end is known.
  ADD COLUMN steerable boolean NOT NULL DEFAULT false,
  -- Why it was asked to end, and for which job.
  ADD COLUMN evict_cause text CHECK (evict_cause IN ('drained', 'preempted', 'reclaimed', 'budget')),
  ADD COLUMN evicted_for text;
UPDATE job_attempts SET evict_cause = 'drained' WHERE evict_reason IS NOT NULL;
ALTER TABLE job_attempts ADD CHECK ((evict_reason IS NULL) = (evict_cause IS NULL));
