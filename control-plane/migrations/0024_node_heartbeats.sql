-- When each machine was heard last: a narrow row of its own, because it is written each second and a node's own row is wide.
-- Unlogged: PostgreSQL empties it after a crash, and a machine that is online and has no row counts as heard of just now,
-- the side on which nobody's work is started twice. Half of each page is kept free, so that an update stays on its page and
-- touches no index. `nodes.last_heartbeat_at` is from now on that of the moment at which it came online or went offline.
CREATE UNLOGGED TABLE node_heartbeats (
  node_id text PRIMARY KEY REFERENCES nodes,
  at timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO node_heartbeats (node_id, at) SELECT id, last_heartbeat_at FROM nodes WHERE online AND last_heartbeat_at IS NOT NULL;
