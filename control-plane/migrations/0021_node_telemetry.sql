-- What agents have measured of their machines (NodeTelemetry of the contracts), for IOCLOUD_TELEMETRY_HOURS. A sample is
-- known by the run of its agent and its number there, so that one that is sent again counts once.
CREATE TABLE node_telemetry (
  node_id text NOT NULL REFERENCES nodes (id),
  run uuid NOT NULL,
  sequence int NOT NULL,
  at timestamptz NOT NULL,
  machine jsonb NOT NULL,
  devices jsonb NOT NULL,
  PRIMARY KEY (node_id, run, sequence)
);
CREATE INDEX node_telemetry_of_node ON node_telemetry (node_id, at);
CREATE INDEX node_telemetry_age ON node_telemetry (at);
