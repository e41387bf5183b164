-- What is known of how far a machine or a supplier (a tenant that owns machines) can be relied on: decayed sums, see
-- core/matching/reputation.ts.
CREATE TABLE standings (
  subject text PRIMARY KEY,
  good double precision NOT NULL CHECK (good >= 0),
  bad double precision NOT NULL CHECK (bad >= 0),
  as_of timestamptz NOT NULL
);

-- What a renter thinks of how a job went; once for each job.
CREATE TABLE job_ratings (
  job_id text PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  stars int NOT NULL CHECK (stars BETWEEN 1 AND 5),
  comment text NOT NULL,
  user_id text NOT NULL,
  rated_at timestamptz NOT NULL DEFAULT now()
);
