-- Of each standing, what one renter's evidence makes of it: no single one can make or break a good name, see `withOneVoice`
-- in core/matching/reputation.ts. No foreign keys, as in `evidence`.
CREATE TABLE standing_shares (
  subject text NOT NULL,
  renter_id text NOT NULL,
  good double precision NOT NULL CHECK (good >= 0),
  bad double precision NOT NULL CHECK (bad >= 0),
  as_of timestamptz NOT NULL,
  PRIMARY KEY (subject, renter_id)
);
