-- The sweep of attempts finds what there is news of without reading all that run.
CREATE INDEX jobs_stopping ON jobs (id) WHERE phase = 'stopping';
CREATE INDEX job_attempts_begun ON job_attempts (started_at) WHERE phase <> 'ended';
CREATE INDEX job_attempts_told ON job_attempts (id)
  WHERE phase <> 'ended' AND (evict_reason IS NOT NULL OR reported IS NOT NULL);

-- So does the scheduler what it can decide about of all that runs.
CREATE INDEX job_attempts_steerable ON job_attempts (id) WHERE phase <> 'ended' AND steerable;
CREATE INDEX job_attempts_with_budget ON job_attempts (stop_at) WHERE phase <> 'ended' AND stop_at IS NOT NULL;
