-- Usage: what a lease has used in a fixed window of time. Lines are only ever added: what is known better later makes a
-- further line of the same window with the difference, so the usage of a window is the sum of its lines.
CREATE TABLE usage_lines (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lease_id text NOT NULL REFERENCES leases,
  window_start timestamptz NOT NULL,
  window_seconds int NOT NULL CHECK (window_seconds BETWEEN 1 AND 3600 AND 3600 % window_seconds = 0),
  -- 0: the window as it was closed; each correction has the next number.
  revision int NOT NULL CHECK (revision >= 0),
  -- Differences to the lines before. What is paid for: the time in which the lease was held and worked.
  billable_ms bigint NOT NULL,
  allocated_ms bigint NOT NULL,
  -- Accelerators × time, of the same two.
  device_billable_ms bigint NOT NULL,
  device_allocated_ms bigint NOT NULL,
  cpu_ms bigint NOT NULL,
  -- Memory × time, in MiB × seconds.
  mib_seconds bigint NOT NULL,
  egress_bytes bigint NOT NULL,
  -- Where it comes from (series, samples, events) and which rules applied.
  evidence jsonb NOT NULL CHECK (jsonb_typeof(evidence) = 'object'),
  at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (lease_id, window_start, revision),
  CHECK (extract(epoch FROM window_start)::numeric % window_seconds = 0),
  CHECK (revision > 0 OR least(billable_ms, allocated_ms, device_billable_ms, device_allocated_ms, cpu_ms, mib_seconds,
    egress_bytes) >= 0)
);
CREATE INDEX usage_lines_by_window ON usage_lines (window_start);

CREATE FUNCTION refuse_usage_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: usage is append-only; add a correcting line', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER usage_lines_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_lines
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_usage_change();

-- What a line came to in money, once for each line. Without a transaction where it costs nothing; `reason` says why.
CREATE TABLE usage_charges (
  usage_line_id bigint PRIMARY KEY REFERENCES usage_lines,
  -- No foreign key: neither is ever deleted, and one is written together with the other.
  transaction_id bigint,
  -- Difference to the charges of the window's lines before, before fees.
  cost_micro_usd bigint NOT NULL,
  micro_usd_per_hour bigint NOT NULL,
  -- Price of an IO as a fraction, where IO took part.
  usd_per_io text,
  reason text NOT NULL DEFAULT '',
  at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX usage_charges_by_transaction ON usage_charges (transaction_id);
CREATE TRIGGER usage_charges_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_charges
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_usage_change();

-- More that money can be: on its way to the chain (payout), staked, on its way out of a stake, slashed and under appeal; and
-- of the network: what it holds on the chain (chain, the other side of real deposits), what it has emitted (emission) and
-- what was burned.
ALTER TABLE ledger_accounts DROP CONSTRAINT ledger_accounts_kind_check;
ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_kind_check CHECK (kind IN (
  'available', 'escrow', 'earnings', 'payout', 'stake', 'unstaking', 'slashed',
  'deposits', 'fees', 'rounding', 'exchange', 'chain', 'emission', 'burned'));
ALTER TABLE ledger_accounts DROP CONSTRAINT ledger_accounts_check;
ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_check CHECK (
  (tenant_id IS NOT NULL) = (kind IN ('available', 'escrow', 'earnings', 'payout', 'stake', 'unstaking', 'slashed')));
ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_kind_check;
ALTER TABLE ledger_transactions ADD CONSTRAINT ledger_transactions_kind_check CHECK (kind IN (
  'credit', 'hold', 'settlement', 'release', 'reversal',
  'correction', 'deposit', 'payout', 'transfer', 'emission', 'stake', 'slash', 'burn'));
