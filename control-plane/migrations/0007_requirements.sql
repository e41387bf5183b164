-- What a machine's owner says of it: NodeTerms of the contracts, with defaults for what is not there.
ALTER TABLE nodes ADD COLUMN terms jsonb NOT NULL DEFAULT '{}';

-- How a job is queued: Scheduling of the contracts.
ALTER TABLE jobs ADD COLUMN scheduling json NOT NULL DEFAULT '{"priority":"normal","preemptible":false,"deadline":null,"expectedSeconds":null,"cheapMicroUsdPerHour":null,"budgetMicroUsd":null}';
ALTER TABLE jobs ALTER COLUMN scheduling DROP DEFAULT;
-- The order of the queue: the time of submission, less what its priority class is ahead by. It never changes while the
-- job waits, so an old job of a low class goes before a new one of a high class: nothing starves.
ALTER TABLE jobs ADD COLUMN queue_at timestamptz;
UPDATE jobs SET queue_at = submitted_at;
ALTER TABLE jobs ALTER COLUMN queue_at SET NOT NULL;
DROP INDEX jobs_queue;
CREATE INDEX jobs_queue ON jobs (queue_at, id) WHERE phase = 'queued';

-- The transaction that last changed what placement must know of a row: a copy in memory reads what is newer than the
-- oldest transaction that was still open when it read last, and so misses nothing, in whatever order they commit.
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed_xid := pg_current_xact_id();
  RETURN NEW;
END $$;
ALTER TABLE nodes ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX nodes_changed ON nodes (changed_xid);
-- Not of `inventory` alone: each heartbeat writes the free space on the disk there.
CREATE TRIGGER nodes_note_change BEFORE UPDATE OF shared, online, scheduling, terms, removed_at, changed_xid ON nodes
  FOR EACH ROW EXECUTE FUNCTION note_change();
ALTER TABLE leases ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX leases_changed ON leases (changed_xid);
CREATE TRIGGER leases_note_change BEFORE UPDATE OF released_at ON leases
  FOR EACH ROW EXECUTE FUNCTION note_change();
