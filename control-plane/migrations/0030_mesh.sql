-- Clusters that stand on several machines: which machine has which part of the cluster's WireGuard network.
CREATE TABLE mesh_members (
  cluster_id text NOT NULL REFERENCES clusters,
  node_id text NOT NULL REFERENCES nodes,
  -- Its part of the network's addresses.
  slot int NOT NULL CHECK (slot BETWEEN 1 AND 4095),
  -- Null while it belongs to the network. What has left stays until all have, so that no address is given out twice.
  left_at timestamptz,
  -- Made on the machine; null until it has said so.
  public_key text,
  listen_port int,
  -- Its own addresses, with the port; and the address that its agent's connection comes from.
  endpoints jsonb NOT NULL DEFAULT '[]',
  remote_address text,
  -- Where its packets come from, by who sees them: {"nd_…": "192.0.2.7:51820"}.
  observed jsonb NOT NULL DEFAULT '{}',
  -- How it reaches the others: [{"slot": 2, "path": "direct"}].
  paths jsonb NOT NULL DEFAULT '[]',
  PRIMARY KEY (cluster_id, node_id, slot)
);
CREATE UNIQUE INDEX mesh_members_seat ON mesh_members (cluster_id, slot);
CREATE UNIQUE INDEX mesh_members_once ON mesh_members (cluster_id, node_id) WHERE left_at IS NULL;
CREATE INDEX mesh_members_by_node ON mesh_members (node_id) WHERE left_at IS NULL;
CREATE INDEX mesh_members_by_key ON mesh_members (public_key) WHERE left_at IS NULL;

-- The public machine that helps each cluster's members to find each other, and relays for them.
CREATE TABLE mesh_helpers (
  cluster_id text PRIMARY KEY REFERENCES clusters,
  node_id text NOT NULL REFERENCES nodes
);
CREATE INDEX mesh_helpers_by_node ON mesh_helpers (node_id);
-- The key of a machine's observer.
ALTER TABLE nodes ADD COLUMN observer_key text;
