-- What turns usage into money: orders with a hold each, lines that wait for their charge, what tenants set and have spent.

-- Where a correction takes back what a supplier no longer has, or asks of a renter what it no longer has: the network bears it.
ALTER TABLE ledger_accounts DROP CONSTRAINT ledger_accounts_kind_check;
ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_kind_check CHECK (kind IN (
  'available', 'escrow', 'earnings', 'payout', 'stake', 'unstaking', 'slashed',
  'deposits', 'fees', 'rounding', 'exchange', 'adjustments', 'chain', 'emission', 'burned'));

CREATE TABLE billing_settings (
  tenant_id text PRIMARY KEY REFERENCES tenants,
  -- The first of them that covers an order pays for it.
  pays_in text[] NOT NULL CHECK (cardinality(pays_in) BETWEEN 1 AND 4 AND pays_in <@ ARRAY['IO', 'USDC', 'USD', 'IOSD']),
  -- Of usage before fees, in a day and in a month (UTC); null: none.
  day_cap_micro_usd bigint CHECK (day_cap_micro_usd >= 0),
  month_cap_micro_usd bigint CHECK (month_cap_micro_usd >= 0)
);

-- Who has been told that its money will soon be gone, until it has more.
CREATE TABLE low_balances (
  tenant_id text PRIMARY KEY REFERENCES tenants,
  since timestamptz NOT NULL DEFAULT now()
);

-- The time for which a cluster holds machines of others without a break. Its id is the reference of its hold.
CREATE TABLE orders (
  id text PRIMARY KEY,
  tenant_id text NOT NULL,
  cluster_id text NOT NULL,
  asset text NOT NULL CHECK (asset IN ('IO', 'USDC', 'USD', 'IOSD')),
  opened_at timestamptz NOT NULL,
  -- How often its hold has grown: makes the key of the next time.
  top_ups int NOT NULL DEFAULT 0,
  -- Null: what it needs next can be set aside. Else nothing of it may be held any more from then on.
  paid_until timestamptz,
  shortage text NOT NULL DEFAULT '',
  -- When its last usage was charged and the rest went back.
  closed_at timestamptz,
  FOREIGN KEY (tenant_id, cluster_id) REFERENCES clusters (tenant_id, id)
);
CREATE UNIQUE INDEX orders_open ON orders (cluster_id) WHERE closed_at IS NULL;
CREATE INDEX orders_by_cluster ON orders (cluster_id);
CREATE INDEX orders_open_by_tenant ON orders (tenant_id) WHERE closed_at IS NULL;

-- What pays for the lease; null: nothing, as the machine is the renter's own, or billing was off when it was made.
ALTER TABLE leases ADD COLUMN order_id text REFERENCES orders;
-- What micro_usd_per_hour was made of: the machine's terms, price versions and factors in force when the lease was made.
ALTER TABLE leases ADD COLUMN price_basis jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(price_basis) = 'object');
CREATE INDEX leases_by_order ON leases (order_id) WHERE order_id IS NOT NULL;

-- Usage lines without a charge. Not a mark that moves along their ids: those of slow transactions come late. No foreign key:
-- lines are never deleted.
CREATE TABLE charges_due (
  usage_line_id bigint PRIMARY KEY,
  lease_id text NOT NULL
);
CREATE INDEX charges_due_by_lease ON charges_due (lease_id);
INSERT INTO charges_due SELECT id, lease_id FROM usage_lines;
CREATE FUNCTION note_charges_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO charges_due SELECT id, lease_id FROM added;
  RETURN NULL;
END $$;
CREATE TRIGGER usage_lines_due AFTER INSERT ON usage_lines REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION note_charges_due();

-- What the charge was computed with: each window keeps the asset, the price of IO and the fees of its first charge.
ALTER TABLE usage_charges
  ADD COLUMN asset text CHECK (asset IN ('IO', 'USDC', 'USD', 'IOSD')),
  ADD COLUMN fees_ppm text,
  -- Of this charge, what the network bore: of what the renter was to pay (in the asset), of what the supplier was to give
  -- back (in IO). Below zero where it got some of that back.
  ADD COLUMN renter_short bigint NOT NULL DEFAULT 0,
  ADD COLUMN supplier_short bigint NOT NULL DEFAULT 0,
  ADD CHECK ((transaction_id IS NULL) OR (asset IS NOT NULL AND fees_ppm IS NOT NULL AND usd_per_io IS NOT NULL));

-- Sums of the charges by the day of their windows: what caps go by.
CREATE TABLE tenant_spending (
  tenant_id text NOT NULL REFERENCES tenants,
  day date NOT NULL,
  cost_micro_usd bigint NOT NULL,
  PRIMARY KEY (tenant_id, day)
);

UPDATE api_keys SET scopes = array_append(scopes, 'billing:write')
WHERE 'accounts:write' = ANY (scopes) AND NOT 'billing:write' = ANY (scopes);
