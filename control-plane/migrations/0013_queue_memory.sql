-- What the scheduler must know of a waiting job beyond its row, since its queue is built anew in each run: since when it waits to
-- borrow, that others have borrowed what is its tenant's own, and the place that others were told to leave for it.
ALTER TABLE jobs
  DROP COLUMN loan_since,
  ADD COLUMN queue_memory json;
