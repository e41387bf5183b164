-- The latest measurements of each machine's connection, oldest first (Measurement of the contracts), and when the next is
-- due: at once for one that has never been measured.
ALTER TABLE nodes
  ADD COLUMN measured jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN measure_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX nodes_to_measure ON nodes (measure_at) WHERE removed_at IS NULL;

-- Placement goes by what was measured, too.
CREATE TRIGGER nodes_measured AFTER UPDATE OF measured ON nodes FOR EACH ROW EXECUTE FUNCTION note_node_change();
