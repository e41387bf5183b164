-- What the Ray of each cluster reported last: in a table of its own, so that writing it every few seconds waits for none of
-- the locks that are held on clusters' rows, and in PostgreSQL, so that dispatch, every page and a restarted process see it.
CREATE TABLE cluster_loads (
  cluster_id text PRIMARY KEY REFERENCES clusters,
  load jsonb NOT NULL,
  read_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- When each autoscaled group last grew by itself: {"group": "2026-01-01T00:00:00.000Z"}.
ALTER TABLE clusters ADD COLUMN grown_at jsonb NOT NULL DEFAULT '{}';
