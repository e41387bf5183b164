-- The sweep of attempts finds what there is news of without reading all that run.
CREATE INDEX jobs_stopping ON jobs (id) WHERE phase = 'stopping';
CREATE INDEX job_attempts_begun ON job_attempts (started_at) WHERE phase <> 'ended';
CREATE INDEX job_attempts_told ON job_attempts (id)
  WHERE phase <> 'ended' AND (evict_reason IS NOT NULL OR reported IS NOT NULL);
