-- What an order would cost, as a tenant was told; gone once it is no longer valid.
CREATE TABLE quotes (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  quote jsonb NOT NULL,
  valid_until timestamptz NOT NULL
);
CREATE INDEX quotes_by_tenant ON quotes (tenant_id);
CREATE INDEX quotes_by_age ON quotes (valid_until);
