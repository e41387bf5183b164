-- What an IO token is worth in USD, as the configured sources say: the last that they agreed on, and what came of the
-- last look. One row; whoever counts with a rate keeps it with what was counted.
CREATE TABLE io_rate (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  good jsonb,
  looked_at timestamptz NOT NULL,
  refusal text,
  sources jsonb NOT NULL
);
