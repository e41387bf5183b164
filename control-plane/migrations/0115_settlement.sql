-- Settlement on Solana: what is watched on the chain, what came in, what goes out, and the very bytes that were signed.

-- The chain and the keys that this database belongs to; another keystore beside it would pay from other accounts.
CREATE TABLE settlement_identity (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  fee_payer text NOT NULL,
  treasury text NOT NULL,
  mints jsonb NOT NULL
);

CREATE TABLE deposit_addresses (
  tenant_id text PRIMARY KEY REFERENCES tenants,
  -- Its key is derived from it: m/44'/501'/1'/number'.
  number int NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY (MINVALUE 0 START 0),
  address text NOT NULL UNIQUE,
  at timestamptz NOT NULL DEFAULT now()
);

-- Token accounts of ours. The balance is what follows from all that is on record here, at finality.
CREATE TABLE chain_accounts (
  address text PRIMARY KEY,
  asset text NOT NULL CHECK (asset IN ('IO', 'USDC')),
  -- Whose deposits come to it; null: the treasury's.
  tenant_id text REFERENCES tenants,
  balance numeric(20) NOT NULL DEFAULT 0 CHECK (balance >= 0),
  -- The newest signature of it that has been read.
  cursor text,
  looked_at timestamptz NOT NULL DEFAULT '-infinity',
  UNIQUE NULLS NOT DISTINCT (tenant_id, asset)
);
CREATE INDEX chain_accounts_by_look ON chain_accounts (looked_at);

-- What came in at finality: once for each transaction and token account.
CREATE TABLE deposits (
  signature text NOT NULL,
  account text NOT NULL,
  -- Null: to the treasury itself, from who funds it.
  tenant_id text REFERENCES tenants,
  -- Null: of a mint that is not settled.
  asset text CHECK (asset IN ('IO', 'USDC')),
  mint text NOT NULL,
  amount numeric(20) NOT NULL CHECK (amount > 0),
  slot bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('small', 'credited', 'ignored')),
  transaction_id bigint,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (signature, account),
  CHECK ((state = 'credited') = (transaction_id IS NOT NULL)),
  CHECK ((state = 'ignored') = (asset IS NULL))
);
CREATE INDEX deposits_by_tenant ON deposits (tenant_id, at DESC);
CREATE INDEX deposits_small ON deposits (tenant_id, asset) WHERE state = 'small';

CREATE TABLE chain_transactions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('payout', 'sweep', 'advance')),
  asset text CHECK (asset IN ('IO', 'USDC')),
  signature text NOT NULL UNIQUE,
  bytes bytea NOT NULL,
  nonce_account text NOT NULL,
  nonce text NOT NULL,
  -- The most that it can cost, rent of new token accounts with it.
  most_lamports bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('signed', 'sent', 'finalized', 'failed', 'superseded')),
  -- For an advance: the one that it is to make impossible.
  replaces bigint REFERENCES chain_transactions,
  error text,
  signed_at timestamptz NOT NULL DEFAULT now(),
  sent_at timestamptz,
  ended_at timestamptz,
  CHECK ((kind = 'advance') = (replaces IS NOT NULL))
);
-- A nonce is signed for once by what moves money, for ever: of two with the same nonce only one can be executed, but which
-- one would be for the chain to say.
CREATE UNIQUE INDEX chain_transactions_nonce ON chain_transactions (nonce) WHERE kind <> 'advance';
CREATE UNIQUE INDEX chain_transactions_advance ON chain_transactions (replaces);
CREATE UNIQUE INDEX chain_transactions_open ON chain_transactions (nonce_account)
  WHERE kind <> 'advance' AND state IN ('signed', 'sent');
CREATE INDEX chain_transactions_unended ON chain_transactions (id) WHERE state IN ('signed', 'sent');
CREATE INDEX chain_transactions_by_time ON chain_transactions (signed_at);

CREATE FUNCTION chain_transactions_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' OR (NEW.signature, NEW.bytes, NEW.nonce_account, NEW.nonce, NEW.kind)
      IS DISTINCT FROM (OLD.signature, OLD.bytes, OLD.nonce_account, OLD.nonce, OLD.kind)
    OR (OLD.state IN ('finalized', 'failed', 'superseded') AND NEW.state <> OLD.state) THEN
    RAISE EXCEPTION 'what was signed is kept as it is, and an end is an end'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER chain_transactions_keep BEFORE UPDATE OR DELETE ON chain_transactions
  FOR EACH ROW EXECUTE FUNCTION chain_transactions_keep();

-- What a transaction takes from a deposit account to the treasury.
CREATE TABLE sweeps (
  chain_transaction_id bigint NOT NULL REFERENCES chain_transactions,
  account text NOT NULL REFERENCES chain_accounts,
  amount numeric(20) NOT NULL CHECK (amount > 0),
  PRIMARY KEY (chain_transaction_id, account)
);

-- The second factor of a person (RFC 6238).
CREATE TABLE second_factors (
  user_id text PRIMARY KEY REFERENCES users,
  tenant_id text NOT NULL REFERENCES tenants,
  secret bytea NOT NULL,
  -- Null: no code of it has been shown yet.
  proven_at timestamptz,
  -- A code is taken once, and none from before it.
  last_step bigint NOT NULL DEFAULT 0,
  wrong_codes int NOT NULL DEFAULT 0,
  locked_until timestamptz NOT NULL DEFAULT '-infinity'
);

CREATE TABLE payout_addresses (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  address text NOT NULL,
  label text NOT NULL,
  added_by text NOT NULL,
  added_at timestamptz NOT NULL DEFAULT now(),
  usable_at timestamptz NOT NULL,
  removed_at timestamptz
);
CREATE UNIQUE INDEX payout_addresses_listed ON payout_addresses (tenant_id, address) WHERE removed_at IS NULL;

CREATE TABLE payouts (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  source text NOT NULL CHECK (source IN ('available', 'earnings')),
  asset text NOT NULL CHECK (asset IN ('IO', 'USDC')),
  amount numeric(20) NOT NULL CHECK (amount > 0),
  address_id text NOT NULL REFERENCES payout_addresses,
  address text NOT NULL,
  state text NOT NULL CHECK (state IN ('requested', 'confirmed', 'reserved', 'signed', 'sent', 'finalized', 'failed',
    'returned', 'cancelled', 'refused')),
  chain_transaction_id bigint REFERENCES chain_transactions,
  -- It failed together with others: the next time it goes alone, so that it fails for itself.
  alone boolean NOT NULL DEFAULT false,
  reason text NOT NULL DEFAULT '',
  -- Tenant and time of the schedule that made it; null: asked for by hand.
  schedule_key text UNIQUE,
  requested_by text NOT NULL,
  confirmed_by text,
  requested_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  CHECK (source <> 'earnings' OR asset = 'IO'),
  CHECK (state NOT IN ('signed', 'sent', 'finalized') OR chain_transaction_id IS NOT NULL)
);
CREATE INDEX payouts_by_tenant ON payouts (tenant_id, requested_at DESC, id);
CREATE INDEX payouts_open ON payouts (state, requested_at) WHERE state NOT IN ('finalized', 'returned', 'cancelled', 'refused');
CREATE INDEX payouts_by_transaction ON payouts (chain_transaction_id);

CREATE TABLE payout_schedules (
  tenant_id text PRIMARY KEY REFERENCES tenants,
  address_id text NOT NULL REFERENCES payout_addresses,
  threshold numeric(20) NOT NULL CHECK (threshold > 0),
  every text NOT NULL CHECK (every IN ('hour', 'day')),
  next_at timestamptz NOT NULL,
  set_by text NOT NULL
);

-- Of chain and ledger; open until they agree again.
CREATE TABLE settlement_differences (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  asset text NOT NULL CHECK (asset IN ('IO', 'USDC')),
  on_chain numeric(30) NOT NULL,
  in_ledger numeric(30) NOT NULL,
  message text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  acknowledged_at timestamptz,
  acknowledged_by text,
  cleared_at timestamptz
);
CREATE UNIQUE INDEX settlement_differences_open ON settlement_differences (asset) WHERE cleared_at IS NULL;

-- How the last turn found things.
CREATE TABLE settlement_turns (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  at timestamptz NOT NULL,
  slot bigint NOT NULL,
  fee_payer_lamports numeric(20) NOT NULL,
  balances jsonb NOT NULL,
  problems text[] NOT NULL
);

-- An alarm is more than a warning.
ALTER TABLE events DROP CONSTRAINT events_severity_check;
ALTER TABLE events ADD CONSTRAINT events_severity_check CHECK (severity IN ('info', 'warning', 'error'));

-- Who may make users of a tenant may take its money out; operators keep what is between chain and ledger with ledger:write.
UPDATE api_keys SET scopes = array_append(scopes, 'payouts:write')
WHERE 'accounts:write' = ANY (scopes) AND NOT 'payouts:write' = ANY (scopes);
