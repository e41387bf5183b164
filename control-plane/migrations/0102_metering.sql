-- When what a lease stands on did not work: only ever added to, by whoever notices, in the transaction in which it does
-- (the triggers below). One that has no end yet is followed, once it has, by a row with the same beginning.
CREATE TABLE usage_interruptions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject_kind text NOT NULL CHECK (subject_kind IN ('node', 'cluster', 'lease')),
  subject text NOT NULL,
  -- silent, unverified:<device>, unanswered, ending, reported:<source> <id>
  reason text NOT NULL,
  began_at timestamptz NOT NULL,
  -- Not before its beginning; at its beginning where it turned out not to have been one.
  ended_at timestamptz CHECK (ended_at >= began_at),
  noted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX usage_interruptions_of ON usage_interruptions (subject, began_at);
CREATE TRIGGER usage_interruptions_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_interruptions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_usage_change();

-- Where the meter stands with each lease.
CREATE TABLE metering_leases (
  lease_id text PRIMARY KEY REFERENCES leases,
  cluster_id text NOT NULL,
  -- Windows before it have lines. Null: nobody has looked yet.
  closed_until timestamptz,
  -- Of all its windows, whatever is configured since. Null: nobody has looked yet.
  window_seconds int,
  -- Null: nothing can come any more but what is told of it late.
  look_at timestamptz DEFAULT now(),
  -- All windows are to be computed again, as something of long ago has become known.
  all_again boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX metering_leases_due ON metering_leases (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX metering_leases_of_cluster ON metering_leases (cluster_id);
INSERT INTO metering_leases (lease_id, cluster_id) SELECT id, cluster_id FROM leases WHERE released_at IS NULL;

CREATE FUNCTION meter_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO metering_leases (lease_id, cluster_id) VALUES (NEW.id, NEW.cluster_id);
  ELSE
    IF OLD.desired AND NOT NEW.desired THEN
      INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at) VALUES ('lease', NEW.id, 'ending', now());
    END IF;
    IF OLD.released_at IS NULL AND NEW.released_at IS NOT NULL THEN
      -- As of now for good: the row of what its head said last goes with its cluster.
      INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at, ended_at)
      SELECT 'cluster', NEW.cluster_id, 'unanswered', l.read_at, greatest(l.read_at, now()) FROM cluster_loads l
      WHERE l.cluster_id = NEW.cluster_id AND l.read_at < least(NEW.exited_at, NEW.released_at,
        (SELECT began_at FROM usage_interruptions WHERE subject = NEW.id AND reason = 'ending')) - interval '60 seconds';
      -- Its last window is closed at once: what was set aside for it waits. The row above is left to the meter, which holds
      -- it while it writes lines, and these wait for the lease's own row.
      INSERT INTO outbox (topic, key) VALUES ('metering', NEW.cluster_id);
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER leases_meter AFTER INSERT OR UPDATE OF desired, released_at ON leases
  FOR EACH ROW EXECUTE FUNCTION meter_lease();

-- Silence: until the next sign of life; longer than the time after which one was due (heartbeatTimeoutMs of the contracts).
CREATE FUNCTION note_silence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at, ended_at)
  VALUES ('node', NEW.node_id, 'silent', OLD.at, NEW.at);
  RETURN NULL;
END $$;
CREATE TRIGGER node_heartbeats_silence AFTER UPDATE ON node_heartbeats
  FOR EACH ROW WHEN (NEW.at > OLD.at + interval '3.5 seconds') EXECUTE FUNCTION note_silence();

CREATE FUNCTION note_offline() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.online THEN
    INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at, ended_at)
    SELECT 'node', NEW.id, 'silent', i.began_at, greatest(i.began_at, now()) FROM usage_interruptions i
    WHERE i.subject = NEW.id AND i.reason = 'silent' AND i.ended_at IS NULL AND NOT EXISTS (
      SELECT FROM usage_interruptions e WHERE e.subject = i.subject AND e.reason = i.reason AND e.began_at = i.began_at
        AND e.ended_at IS NOT NULL);
  ELSE
    INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at)
    VALUES ('node', NEW.id, 'silent', coalesce(NEW.last_heartbeat_at, now()));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER nodes_offline AFTER UPDATE OF online ON nodes
  FOR EACH ROW WHEN (NEW.online <> OLD.online) EXECUTE FUNCTION note_offline();

-- A head that answers again after it had not for two of the periods in which what it says is current (maxAgeMs of
-- clusters/load.ts).
CREATE FUNCTION note_unanswered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at, ended_at)
  VALUES ('cluster', NEW.cluster_id, 'unanswered', OLD.read_at, NEW.read_at);
  RETURN NULL;
END $$;
CREATE TRIGGER cluster_loads_unanswered AFTER UPDATE ON cluster_loads
  FOR EACH ROW WHEN (NEW.read_at > OLD.read_at + interval '60 seconds') EXECUTE FUNCTION note_unanswered();

-- From a failed challenge until the device passes one; a failure that is taken back has not been one.
CREATE FUNCTION note_verdict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.verdict = 'failed' THEN
    INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at)
    VALUES ('node', NEW.node_id, 'unverified:' || NEW.device_uuid, NEW.judged_at);
  ELSE
    INSERT INTO usage_interruptions (subject_kind, subject, reason, began_at, ended_at)
    SELECT 'node', NEW.node_id, i.reason, i.began_at,
      CASE WHEN NEW.verdict = 'passed' THEN greatest(i.began_at, NEW.judged_at) ELSE i.began_at END
    FROM usage_interruptions i
    WHERE i.subject = NEW.node_id AND i.reason = 'unverified:' || NEW.device_uuid AND i.ended_at IS NULL
      AND (NEW.verdict = 'passed' OR (NEW.verdict = 'void' AND OLD.verdict = 'failed' AND i.began_at = OLD.judged_at));
    IF NEW.verdict = 'void' THEN
      UPDATE metering_leases m SET look_at = now(), all_again = true FROM leases l
      WHERE l.id = m.lease_id AND l.node_id = NEW.node_id AND coalesce(l.released_at > NEW.judged_at, true);
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER verifications_verdict AFTER UPDATE OF verdict ON verifications
  FOR EACH ROW WHEN (NEW.verdict IS DISTINCT FROM OLD.verdict AND NEW.verdict IN ('passed', 'failed', 'void'))
  EXECUTE FUNCTION note_verdict();

-- Cumulative counters of each lease as its machine's agent reads them: within a run they only grow, and each run begins
-- anew. One row a run, in which each counter is the highest that was told: the order in which it is told makes no difference.
CREATE TABLE lease_counters (
  lease_id text NOT NULL,
  run uuid NOT NULL,
  cpu_ms bigint NOT NULL,
  mib_seconds bigint NOT NULL,
  egress_bytes bigint NOT NULL,
  PRIMARY KEY (lease_id, run)
);

-- The same as they were at certain times: of each short stretch of time (a sixth of a window) the last that is known, so that
-- one that is told twice, or late, changes nothing that it should not.
CREATE TABLE lease_samples (
  lease_id text NOT NULL,
  run uuid NOT NULL,
  -- Number of the stretch since 1970.
  stretch bigint NOT NULL,
  at timestamptz NOT NULL,
  cpu_ms bigint NOT NULL,
  mib_seconds bigint NOT NULL,
  egress_bytes bigint NOT NULL,
  PRIMARY KEY (lease_id, run, stretch)
);

-- Usage that was told by others than agents. Never deleted: an event counts once for ever.
CREATE TABLE usage_events (
  tenant_id text NOT NULL REFERENCES tenants,
  source text NOT NULL,
  id text NOT NULL,
  lease_id text NOT NULL,
  from_at timestamptz NOT NULL,
  until_at timestamptz NOT NULL,
  cpu_ms bigint NOT NULL CHECK (cpu_ms >= 0),
  mib_seconds bigint NOT NULL CHECK (mib_seconds >= 0),
  egress_bytes bigint NOT NULL CHECK (egress_bytes >= 0),
  interruption boolean NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source, id, tenant_id),
  CHECK (until_at > from_at)
);
CREATE INDEX usage_events_of_lease ON usage_events (lease_id);
CREATE TRIGGER usage_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_usage_change();

-- The permissions are new: who may see money sees what it is for, and whose machines they are may tell of them.
UPDATE api_keys SET scopes = array_append(scopes, 'usage:read')
WHERE 'billing:read' = ANY (scopes) AND NOT 'usage:read' = ANY (scopes);
UPDATE api_keys SET scopes = array_append(scopes, 'usage:write')
WHERE 'nodes:write' = ANY (scopes) AND NOT 'usage:write' = ANY (scopes);
