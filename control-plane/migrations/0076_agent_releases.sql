-- Keys that releases of the agent are signed with, each passed on by the one before.
CREATE TABLE agent_release_keys (
  position int PRIMARY KEY,
  -- Normalised to `ssh-ed25519 <base64>`.
  public_key text NOT NULL UNIQUE,
  -- The new key's line as the key before it has signed it; of the first, nothing.
  statement text,
  signature text,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((position = 1) = (statement IS NULL) AND (statement IS NULL) = (signature IS NULL))
);

CREATE TABLE agent_releases (
  serial bigint PRIMARY KEY,
  version text NOT NULL,
  floor bigint NOT NULL,
  sha256 text NOT NULL UNIQUE,
  -- As it was signed, byte by byte.
  manifest text NOT NULL,
  signature text NOT NULL,
  archive bytea NOT NULL,
  published_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE agent_rollouts (
  id text PRIMARY KEY,
  serial bigint NOT NULL REFERENCES agent_releases,
  phase text NOT NULL CHECK (phase IN ('running', 'paused', 'halted', 'superseded')),
  reason text NOT NULL DEFAULT '',
  terms jsonb NOT NULL,
  rolls_back text REFERENCES agent_rollouts,
  tenant_id text NOT NULL REFERENCES tenants,
  user_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- One is in force at a time.
CREATE UNIQUE INDEX agent_rollouts_in_force ON agent_rollouts ((true)) WHERE phase <> 'superseded';

-- Machines that a roll-out has come to.
CREATE TABLE agent_rollout_nodes (
  rollout_id text NOT NULL REFERENCES agent_rollouts,
  node_id text NOT NULL REFERENCES nodes,
  state text NOT NULL CHECK (state IN ('trying', 'healthy', 'failed')),
  -- Names this try to the machine, which names it again when it went back.
  attempt text NOT NULL UNIQUE,
  from_version text NOT NULL,
  from_serial bigint NOT NULL,
  reason text NOT NULL DEFAULT '',
  begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- When the machine had all of it and agreed to switch.
  sent_at timestamptz,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (rollout_id, node_id)
);
CREATE INDEX agent_rollout_nodes_trying ON agent_rollout_nodes (node_id) WHERE state = 'trying';
CREATE INDEX agent_rollout_nodes_of_node ON agent_rollout_nodes (node_id, begun_at);

-- What the agent says of its release; null where it cannot change it by itself.
ALTER TABLE nodes ADD COLUMN agent jsonb;
ALTER TABLE nodes ADD COLUMN agent_serial bigint;
-- Why its owner keeps it on its release.
ALTER TABLE nodes ADD COLUMN agent_hold text;
-- While its agent changes its release, and until the machine has certainly been told that this is over, its Ray nodes may
-- run on for so much longer without a heartbeat, and count as lost so much later: contracts/src/fencing.ts.
ALTER TABLE nodes ADD COLUMN fence_grace_seconds int NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN fence_grace_over_at timestamptz;
CREATE INDEX nodes_fence_grace ON nodes (id) WHERE fence_grace_seconds > 0;
-- When its agent was last sent away because it speaks another protocol: it can still be upgraded.
ALTER TABLE nodes ADD COLUMN agent_refused_at timestamptz;
CREATE INDEX nodes_agent_serial ON nodes (agent_serial) WHERE removed_at IS NULL AND agent_serial IS NOT NULL;
