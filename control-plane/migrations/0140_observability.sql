-- What metrics and traces need to know of when something happened, and what the checkers found.

-- The caller's W3C trace context, where a submission came with one; else the trace of a job follows from its id.
ALTER TABLE jobs ADD COLUMN trace_parent text;

ALTER TABLE job_attempts
  -- When it was asked to move or to end, and when its head said that it runs.
  ADD COLUMN evict_asked_at timestamptz,
  ADD COLUMN running_at timestamptz;

ALTER TABLE clusters ADD COLUMN phase_since timestamptz;
UPDATE clusters SET phase_since = now() WHERE phase <> 'deleted';
ALTER TABLE clusters ALTER COLUMN phase_since SET DEFAULT now();

-- The last run of each checker of the books.
CREATE TABLE checks (
  name text PRIMARY KEY,
  ran_at timestamptz NOT NULL,
  clean_at timestamptz,
  differences int NOT NULL CHECK (differences >= 0)
);
