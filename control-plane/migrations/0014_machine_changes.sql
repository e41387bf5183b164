-- Which machines have changed in what placement looks at, or in what is held of them, and in which transaction: what each
-- control plane's index in memory reads to stay in step (clusters/machine-mirror.ts). Only ever appended to, so that it
-- makes nobody wait for anybody; old rows are deleted by those who read.
CREATE TABLE machine_changes (
  node_id text NOT NULL,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX machine_changes_by_xid ON machine_changes (xid);

CREATE FUNCTION note_node_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO machine_changes (node_id) VALUES (NEW.id);
  RETURN NULL;
END $$;

CREATE FUNCTION note_lease_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO machine_changes (node_id) VALUES (NEW.node_id);
  RETURN NULL;
END $$;

-- A heartbeat writes other columns of a node than these.
CREATE TRIGGER nodes_change AFTER INSERT OR UPDATE OF tenant_id, name, shared, terms, online, scheduling, removed_at
  ON nodes FOR EACH ROW EXECUTE FUNCTION note_node_change();
-- Devices are taken and given back in the transaction that does so with their lease.
CREATE TRIGGER leases_change AFTER INSERT OR UPDATE OF desired, cpus, memory_bytes, released_at
  ON leases FOR EACH ROW EXECUTE FUNCTION note_lease_change();
