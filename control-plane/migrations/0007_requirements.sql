-- What a machine's owner says of it: NodeTerms of the contracts, with defaults for what is not there.
ALTER TABLE nodes ADD COLUMN terms jsonb NOT NULL DEFAULT '{}';

-- How a job is queued: Scheduling of the contracts.
ALTER TABLE jobs ADD COLUMN scheduling json NOT NULL DEFAULT '{"priority":"normal"}';
ALTER TABLE jobs ALTER COLUMN scheduling DROP DEFAULT;
-- The order of the queue: the time of submission, less what its priority class is ahead by. It never changes while the
-- job waits, so an old job of a low class goes before a new one of a high class: nothing starves.
ALTER TABLE jobs ADD COLUMN queue_at timestamptz;
UPDATE jobs SET queue_at = submitted_at;
ALTER TABLE jobs ALTER COLUMN queue_at SET NOT NULL;
DROP INDEX jobs_queue;
CREATE INDEX jobs_queue ON jobs (queue_at, id) WHERE phase = 'queued';
