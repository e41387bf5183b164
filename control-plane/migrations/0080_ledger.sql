-- The ledger: double entry, append-only, zero-sum for each asset. What keeps it so stands here and not in the program:
-- no statement of the control plane's own role, whatever its fault, gets a transaction in that is not whole and balanced,
-- changes one, or moves a balance by any other way. (A superuser who drops these triggers can; not by accident.)
-- Amounts are in the asset's smallest unit, credit positive. bigint: the whole supply of IO is 8e16 units, a hundredth of
-- what fits; sums of many are numeric and exact, and one that does not fit is an error, never rounded.

CREATE TABLE ledger_accounts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('available', 'escrow', 'earnings', 'deposits', 'fees', 'rounding', 'exchange')),
  asset text NOT NULL CHECK (asset IN ('IO', 'USDC', 'USD')),
  tenant_id text REFERENCES tenants,
  -- Each hold has an escrow account of its own, by the reference of its order.
  hold text UNIQUE,
  name text NOT NULL UNIQUE GENERATED ALWAYS AS (
    kind || ':' || asset || coalesce(':' || tenant_id, '') || coalesce(':' || hold, '')) STORED,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((tenant_id IS NOT NULL) = (kind IN ('available', 'escrow', 'earnings'))),
  CHECK ((hold IS NOT NULL) = (kind = 'escrow')),
  -- Suppliers are paid in IO, whatever the renter paid in.
  CHECK (kind <> 'earnings' OR asset = 'IO')
);
CREATE INDEX ledger_accounts_by_tenant ON ledger_accounts (tenant_id, id);

-- Apart from the accounts, so that what changes often is small and what does not can be guarded whole. Pages are left
-- half empty: a new version of a row then stays on its page, and no index has to follow.
CREATE TABLE ledger_balances (
  account_id bigint PRIMARY KEY REFERENCES ledger_accounts,
  balance bigint NOT NULL DEFAULT 0,
  may_be_negative boolean NOT NULL,
  closed boolean NOT NULL DEFAULT false,
  CONSTRAINT ledger_balances_covered CHECK (balance >= 0 OR may_be_negative),
  -- So nothing can come into it any more either.
  CONSTRAINT ledger_balances_closed_is_empty CHECK (balance = 0 OR NOT closed)
) WITH (fillfactor = 50);

CREATE TABLE ledger_transactions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  idempotency_key text NOT NULL UNIQUE,
  -- SHA-256 of what was asked for under this key.
  content_hash bytea NOT NULL,
  kind text NOT NULL CHECK (kind IN ('credit', 'hold', 'settlement', 'release', 'reversal')),
  -- How many postings it has: they come in one statement, numbered from 1 to this.
  lines smallint NOT NULL CHECK (lines >= 2),
  -- At most one transaction takes another one back.
  reverses bigint UNIQUE REFERENCES ledger_transactions,
  memo text NOT NULL,
  -- What the amounts were computed from.
  detail jsonb NOT NULL CHECK (jsonb_typeof(detail) = 'object'),
  actor text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  CHECK ((reverses IS NOT NULL) = (kind = 'reversal'))
);

-- Without foreign keys: the trigger below looks at both sides for the whole statement at once, and neither side is ever
-- deleted. A foreign key would lock the row of a much used account once more for each posting.
CREATE TABLE ledger_postings (
  transaction_id bigint NOT NULL,
  line smallint NOT NULL CHECK (line >= 1),
  account_id bigint NOT NULL,
  amount bigint NOT NULL CHECK (amount <> 0),
  PRIMARY KEY (transaction_id, line)
);
CREATE INDEX ledger_postings_by_account ON ledger_postings (account_id, transaction_id DESC);

CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: the ledger is append-only; post a correcting transaction', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- Of balances a statement of its own may change one thing: close the escrow of a hold, which the constraint demands to be empty.
CREATE FUNCTION ledger_close_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.account_id, NEW.balance, NEW.may_be_negative, NEW.closed)
      IS DISTINCT FROM (OLD.account_id, OLD.balance, OLD.may_be_negative, true)
    OR NOT EXISTS (SELECT FROM ledger_accounts WHERE id = NEW.account_id AND kind = 'escrow') THEN
    RAISE EXCEPTION 'this change of a balance is refused: balances follow from postings alone, and only holds are closed'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION ledger_open_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ledger_balances (account_id, may_be_negative)
  SELECT id, tenant_id IS NULL FROM added;
  RETURN NULL;
END $$;

-- Planned for few rows over large tables, whatever the tables were like when a connection first planned it.
CREATE FUNCTION ledger_apply_postings() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  fault record;
BEGIN
  -- Whole: with the numbers unique, a transaction has its lines 1 to n exactly if there are n and the highest is n; later
  -- statements find all its numbers taken.
  SELECT n.transaction_id, n.count, t.lines INTO fault
  FROM (SELECT transaction_id, count(*) AS count, max(line) AS highest FROM added GROUP BY transaction_id) n
  LEFT JOIN ledger_transactions t ON t.id = n.transaction_id
  WHERE t.lines IS DISTINCT FROM n.count OR n.highest <> n.count LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'transaction % has % postings in this statement and must have %, numbered from 1', fault.transaction_id,
      fault.count, coalesce(fault.lines::text, 'none, as there is no such transaction')
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ledger_postings_whole';
  END IF;

  SELECT n.transaction_id, a.asset, sum(n.amount) AS total INTO fault
  FROM added n LEFT JOIN ledger_accounts a ON a.id = n.account_id
  GROUP BY n.transaction_id, a.asset HAVING sum(n.amount) <> 0 OR a.asset IS NULL LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'transaction % sums to % %, not to zero', fault.transaction_id, fault.total,
      coalesce(fault.asset, 'on accounts that do not exist')
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ledger_postings_balanced';
  END IF;

  -- All writers lock balances in the order of their accounts, so none waits for another in a circle.
  PERFORM 1 FROM ledger_balances b WHERE b.account_id IN (SELECT account_id FROM added)
  ORDER BY b.account_id FOR NO KEY UPDATE;
  UPDATE ledger_balances b SET balance = b.balance + s.total
  FROM (SELECT account_id, sum(amount)::bigint AS total FROM added GROUP BY account_id) s
  WHERE b.account_id = s.account_id;
  RETURN NULL;
END $$;

CREATE FUNCTION ledger_demand_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM ledger_postings WHERE transaction_id = NEW.id AND line = 1) THEN
    RAISE EXCEPTION 'transaction % has no postings', NEW.id
      USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ledger_transactions_posted';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER ledger_accounts_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_accounts
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_accounts_open AFTER INSERT ON ledger_accounts REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_open_balance();

CREATE TRIGGER ledger_transactions_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE CONSTRAINT TRIGGER ledger_transactions_posted AFTER INSERT ON ledger_transactions DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION ledger_demand_postings();

CREATE TRIGGER ledger_postings_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_postings_apply AFTER INSERT ON ledger_postings REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_apply_postings();

-- Balances are the triggers' own, which write at a depth of one or more.
CREATE TRIGGER ledger_balances_keep BEFORE INSERT OR DELETE OR TRUNCATE ON ledger_balances
  FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_balances_derived BEFORE UPDATE ON ledger_balances
  FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_close_only();

-- Also for a session that replays a replica's changes (session_replication_role = replica skips others).
ALTER TABLE ledger_accounts ENABLE ALWAYS TRIGGER ledger_accounts_keep;
ALTER TABLE ledger_accounts ENABLE ALWAYS TRIGGER ledger_accounts_open;
ALTER TABLE ledger_transactions ENABLE ALWAYS TRIGGER ledger_transactions_keep;
ALTER TABLE ledger_transactions ENABLE ALWAYS TRIGGER ledger_transactions_posted;
ALTER TABLE ledger_postings ENABLE ALWAYS TRIGGER ledger_postings_keep;
ALTER TABLE ledger_postings ENABLE ALWAYS TRIGGER ledger_postings_apply;
ALTER TABLE ledger_balances ENABLE ALWAYS TRIGGER ledger_balances_keep;
ALTER TABLE ledger_balances ENABLE ALWAYS TRIGGER ledger_balances_derived;

-- The permissions are new, and a key has those that it was made with: who may see the accounts of a tenant sees its money,
-- who may make tenants keeps the ledger.
UPDATE api_keys SET scopes = array_append(scopes, 'billing:read')
WHERE 'accounts:read' = ANY (scopes) AND NOT 'billing:read' = ANY (scopes);
UPDATE api_keys SET scopes = scopes || ARRAY['ledger:read', 'ledger:write']
WHERE 'tenants:write' = ANY (scopes) AND NOT 'ledger:write' = ANY (scopes);
