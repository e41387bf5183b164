-- The market price of each accelerator model, a version for each hour: made once, never changed. Each is of one whole
-- hour (UTC) and follows the one before, so that there is neither a gap nor an overlap.
CREATE TABLE price_versions (
  id text PRIMARY KEY,
  model text NOT NULL,
  valid_from timestamptz NOT NULL CHECK (extract(epoch FROM valid_from)::numeric % 3600 = 0),
  valid_until timestamptz NOT NULL CHECK (valid_until - valid_from = interval '1 hour'),
  micro_usd_per_gpu_hour bigint NOT NULL CHECK (micro_usd_per_gpu_hour > 0),
  -- What it was made from: all that is needed to compute it again.
  before_micro_usd bigint NOT NULL CHECK (before_micro_usd > 0),
  base_micro_usd bigint NOT NULL CHECK (base_micro_usd > 0),
  aim_micro_usd bigint NOT NULL CHECK (aim_micro_usd >= 0),
  used_device_seconds bigint NOT NULL CHECK (used_device_seconds >= 0),
  offered_device_seconds bigint NOT NULL CHECK (offered_device_seconds >= 0),
  curve jsonb NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (model, valid_from)
);

CREATE FUNCTION refuse_price_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'price versions are never changed or deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER price_versions_immutable BEFORE UPDATE OR DELETE ON price_versions
  FOR EACH ROW EXECUTE FUNCTION refuse_price_change();
CREATE TRIGGER price_versions_kept BEFORE TRUNCATE ON price_versions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_price_change();

CREATE FUNCTION refuse_price_gap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last_end timestamptz;
BEGIN
  SELECT max(valid_until) INTO last_end FROM price_versions WHERE model = NEW.model;
  IF last_end IS NOT NULL AND NEW.valid_from > last_end THEN
    RAISE EXCEPTION 'the price of % from % on would leave a gap after %', NEW.model, NEW.valid_from, last_end
      USING ERRCODE = 'restrict_violation';
  END IF;
  -- Nor before the first: a second version of an hour is refused by the unique index.
  IF last_end IS NOT NULL AND NEW.valid_from < (SELECT min(valid_from) FROM price_versions WHERE model = NEW.model) THEN
    RAISE EXCEPTION 'the price of % begins later than %', NEW.model, NEW.valid_from USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER price_versions_without_gap BEFORE INSERT ON price_versions
  FOR EACH ROW EXECUTE FUNCTION refuse_price_gap();

-- What the control plane's configuration says (IOCLOUD_PRICING_FILE), written at its start: one row.
CREATE TABLE pricing_terms (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  terms jsonb NOT NULL
);

-- Which leases held something in an hour.
CREATE INDEX leases_by_release ON leases (released_at);
