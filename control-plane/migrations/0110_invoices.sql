-- Invoices of renters and statements of suppliers: a month of a tenant's charges, closed once. What they are made of stays
-- in the ledger; here is which charge is on which line, so that each is on exactly one. Nothing is changed or deleted:
-- what comes after a month was closed is a correction on a later one.
CREATE TABLE invoices (
  id text PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('invoice', 'statement')),
  tenant_id text NOT NULL REFERENCES tenants,
  number int NOT NULL CHECK (number >= 1),
  month date NOT NULL CHECK (extract(day FROM month) = 1),
  -- As they were when it was closed.
  tenant_name text NOT NULL,
  issuer jsonb NOT NULL,
  lines int NOT NULL CHECK (lines >= 1),
  cost_micro_usd bigint NOT NULL,
  -- [{asset, amount, fee}], in the smallest unit, as text.
  totals jsonb NOT NULL CHECK (jsonb_typeof(totals) = 'array'),
  -- Only the transaction that closes an invoice adds lines to it.
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, kind, month),
  UNIQUE (tenant_id, kind, number)
);
CREATE INDEX invoices_by_age ON invoices (at DESC, id DESC);

CREATE TABLE invoice_lines (
  -- At commit: entries and lines come before their sums are known.
  invoice_id text NOT NULL REFERENCES invoices DEFERRABLE INITIALLY DEFERRED,
  n int NOT NULL CHECK (n >= 1),
  kind text NOT NULL CHECK (kind IN ('usage', 'correction', 'reward', 'other', 'free')),
  day date NOT NULL,
  cluster_id text,
  cluster_name text,
  lease_id text REFERENCES leases,
  node_id text,
  node_name text,
  model text,
  micro_usd_per_hour bigint,
  asset text,
  entries int NOT NULL CHECK (entries >= 1),
  held_ms bigint NOT NULL,
  billed_ms bigint NOT NULL,
  cost_micro_usd bigint NOT NULL,
  amount bigint NOT NULL,
  fee bigint NOT NULL,
  note text NOT NULL,
  PRIMARY KEY (invoice_id, n),
  CHECK (asset IS NOT NULL OR (amount = 0 AND fee = 0))
);

-- A part of a transaction (null: usage that costs nothing) for one usage line (null: for none).
CREATE TABLE invoice_entries (
  invoice_id text NOT NULL REFERENCES invoices DEFERRABLE INITIALLY DEFERRED,
  line int NOT NULL,
  -- Those of the invoice: so that the unique index below can hold for all of a tenant.
  kind text NOT NULL,
  tenant_id text NOT NULL,
  transaction_id bigint,
  usage_line_id bigint REFERENCES usage_lines,
  asset text,
  amount bigint NOT NULL,
  fee bigint NOT NULL,
  CHECK (transaction_id IS NOT NULL OR usage_line_id IS NOT NULL)
);
CREATE UNIQUE INDEX invoice_entries_once ON invoice_entries (transaction_id, usage_line_id, tenant_id, kind, asset)
  NULLS NOT DISTINCT;
CREATE INDEX invoice_entries_by_line ON invoice_entries (invoice_id, line, usage_line_id);

-- Months that have been closed for all tenants, in order.
CREATE TABLE invoice_months (
  month date PRIMARY KEY CHECK (extract(day FROM month) = 1),
  at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION refuse_invoice_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: invoices are never changed; what is wrong is corrected on the next', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER invoices_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON invoices
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_invoice_change();
CREATE TRIGGER invoice_lines_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON invoice_lines
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_invoice_change();
CREATE TRIGGER invoice_entries_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON invoice_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_invoice_change();
CREATE TRIGGER invoice_months_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON invoice_months
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_invoice_change();

-- Two that come at the same time read the same last number; the unique constraint then refuses one of them.
CREATE FUNCTION refuse_invoice_gap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last int;
BEGIN
  SELECT coalesce(max(number), 0) INTO last FROM invoices WHERE tenant_id = NEW.tenant_id AND kind = NEW.kind;
  IF NEW.number <> last + 1 THEN
    RAISE EXCEPTION 'after the % of % with number % comes %, not %', NEW.kind, NEW.tenant_id, last, last + 1, NEW.number
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER invoices_without_gap BEFORE INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION refuse_invoice_gap();

CREATE FUNCTION refuse_late_invoice_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM (SELECT DISTINCT invoice_id FROM added) a JOIN invoices i ON i.id = a.invoice_id
             WHERE i.xid <> pg_current_xact_id()) THEN
    RAISE EXCEPTION 'the invoice has been closed: nothing is added to it'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER invoice_lines_in_time AFTER INSERT ON invoice_lines REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_late_invoice_line();
CREATE TRIGGER invoice_entries_in_time AFTER INSERT ON invoice_entries REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_late_invoice_line();

-- At commit: its lines are all there, each is the sum of its entries, and its totals are the sums of its lines.
CREATE FUNCTION demand_whole_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  fault text;
BEGIN
  SELECT format('has %s lines up to %s instead of %s', count(*), max(n), NEW.lines) INTO fault
  FROM invoice_lines WHERE invoice_id = NEW.id
  HAVING count(*) <> NEW.lines OR max(n) <> NEW.lines OR sum(cost_micro_usd) <> NEW.cost_micro_usd;
  IF fault IS NULL THEN
    SELECT format('line %s is not the sum of its entries', coalesce(l.n, e.line)) INTO fault
    FROM (SELECT * FROM invoice_lines WHERE invoice_id = NEW.id) l
    FULL JOIN (SELECT line, min(asset) AS asset, count(DISTINCT asset) AS assets, count(*) AS entries,
                 sum(amount) AS amount, sum(fee) AS fee
               FROM invoice_entries WHERE invoice_id = NEW.id GROUP BY line) e ON e.line = l.n
    WHERE (l.asset, l.entries, l.amount, l.fee) IS DISTINCT FROM (e.asset, e.entries, e.amount, e.fee) OR e.assets > 1
    LIMIT 1;
  END IF;
  IF fault IS NULL THEN
    SELECT format('its total of %s is not the sum of its lines', coalesce(l.asset, t.asset)) INTO fault
    FROM (SELECT asset, sum(amount) AS amount, sum(fee) AS fee FROM invoice_lines
          WHERE invoice_id = NEW.id AND asset IS NOT NULL GROUP BY asset) l
    FULL JOIN jsonb_to_recordset(NEW.totals) AS t (asset text, amount numeric, fee numeric) ON t.asset = l.asset
    WHERE (l.amount, l.fee) IS DISTINCT FROM (t.amount, t.fee) LIMIT 1;
  END IF;
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION '% % %', NEW.kind, NEW.id, fault USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER invoices_whole AFTER INSERT ON invoices DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION demand_whole_invoice();

-- Which jobs ran on a cluster in a window: those that have ended too.
CREATE INDEX job_attempts_by_cluster ON job_attempts (cluster_id, started_at);
