-- Token rules: emission, rewards, stakes, slashes, votes. What moves money is posted in the ledger in the same transaction.

-- IOSD comes from burned IO alone.
ALTER TABLE ledger_accounts DROP CONSTRAINT ledger_accounts_asset_check;
ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_asset_check CHECK (asset IN ('IO', 'USDC', 'USD', 'IOSD'));
ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_iosd CHECK (asset <> 'IOSD' OR kind NOT IN ('deposits', 'chain'));
ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_of_stake CHECK (
  asset = 'IO' OR kind NOT IN ('stake', 'unstaking', 'slashed', 'burned'));

CREATE FUNCTION token_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what was decided by the token rules is never changed', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END $$;

-- When hour 1 begins, and by which schedule; written with the first hour.
CREATE TABLE token_genesis (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  at timestamptz NOT NULL CHECK (extract(epoch FROM at)::numeric % 3600 = 0),
  initial_supply bigint NOT NULL CHECK (initial_supply >= 0),
  cap bigint NOT NULL CHECK (cap >= initial_supply),
  first_year_ppm bigint NOT NULL,
  monthly_decline_ppm bigint NOT NULL,
  hours int NOT NULL
);
CREATE TRIGGER token_genesis_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_genesis
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();

CREATE TABLE token_proposals (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants,
  title text NOT NULL,
  text text NOT NULL,
  changes jsonb NOT NULL,
  state text NOT NULL DEFAULT 'voting' CHECK (state IN ('voting', 'passed', 'rejected', 'executed', 'void')),
  reason text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  voting_ends_at timestamptz NOT NULL,
  execute_at timestamptz NOT NULL,
  -- As they were at its beginning.
  quorum_ppm int NOT NULL,
  threshold_ppm int NOT NULL,
  all_stake bigint NOT NULL CHECK (all_stake > 0)
);
CREATE INDEX token_proposals_open ON token_proposals (voting_ends_at, execute_at) WHERE state IN ('voting', 'passed');
CREATE TABLE token_proposal_stakes (
  proposal_id text NOT NULL REFERENCES token_proposals,
  tenant_id text NOT NULL REFERENCES tenants,
  amount bigint NOT NULL CHECK (amount > 0),
  PRIMARY KEY (proposal_id, tenant_id)
);
CREATE TABLE token_votes (
  proposal_id text NOT NULL,
  tenant_id text NOT NULL,
  vote text NOT NULL CHECK (vote IN ('yes', 'no', 'abstain')),
  actor text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (proposal_id, tenant_id),
  -- Only who had stake at its beginning has a vote.
  FOREIGN KEY (proposal_id, tenant_id) REFERENCES token_proposal_stakes
);
CREATE TRIGGER token_proposal_stakes_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_proposal_stakes
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();
CREATE TRIGGER token_votes_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_votes
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();

-- The parameters, a version for each change, each in force until the next begins.
CREATE TABLE token_versions (
  version int PRIMARY KEY CHECK (version > 0),
  valid_from timestamptz NOT NULL UNIQUE,
  parameters jsonb NOT NULL,
  -- A proposal is carried out at most once.
  proposal_id text UNIQUE REFERENCES token_proposals
);
CREATE TRIGGER token_versions_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_versions
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();
CREATE FUNCTION token_version_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM token_versions WHERE valid_from >= NEW.valid_from OR version >= NEW.version) THEN
    RAISE EXCEPTION 'version % from % on does not follow those before', NEW.version, NEW.valid_from
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER token_versions_follow BEFORE INSERT ON token_versions
  FOR EACH ROW EXECUTE FUNCTION token_version_follows();

-- What a tenant wants: third-party stake on its machines at this part of rewards, and who referred it.
CREATE TABLE token_settings (
  tenant_id text PRIMARY KEY REFERENCES tenants,
  delegation_ppm int CHECK (delegation_ppm BETWEEN 0 AND 1000000),
  referrer_id text REFERENCES tenants CHECK (referrer_id <> tenant_id)
);

-- Who has staked how much on which machine. The sum of a tenant's is its account `stake`.
CREATE TABLE token_stakes (
  node_id text NOT NULL REFERENCES nodes,
  staker_id text NOT NULL REFERENCES tenants,
  amount bigint NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (node_id, staker_id)
);
CREATE INDEX token_stakes_by_staker ON token_stakes (staker_id);
-- Placement goes by it.
CREATE TRIGGER token_stakes_change AFTER INSERT OR UPDATE ON token_stakes
  FOR EACH ROW EXECUTE FUNCTION note_lease_change();

-- How it has changed: an hour counts what was there throughout it.
CREATE TABLE token_stake_history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node_id text NOT NULL,
  staker_id text NOT NULL,
  amount bigint NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX token_stake_history_by_stake ON token_stake_history (node_id, staker_id, at);
CREATE FUNCTION note_stake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The row is locked: so each change of it is later than the one before.
  INSERT INTO token_stake_history (node_id, staker_id, amount, at)
  VALUES (NEW.node_id, NEW.staker_id, NEW.amount, clock_timestamp());
  RETURN NULL;
END $$;
CREATE TRIGGER token_stakes_history AFTER INSERT OR UPDATE ON token_stakes
  FOR EACH ROW EXECUTE FUNCTION note_stake();
CREATE TRIGGER token_stake_history_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_stake_history
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();

-- Stake on its way out: the sum of a tenant's that are cooling is its account `unstaking`.
CREATE TABLE token_unstakings (
  id text PRIMARY KEY,
  node_id text NOT NULL REFERENCES nodes,
  staker_id text NOT NULL REFERENCES tenants,
  -- What a slash has left of it.
  amount bigint NOT NULL CHECK (amount >= 0),
  state text NOT NULL DEFAULT 'cooling' CHECK (state IN ('cooling', 'released')),
  requested_at timestamptz NOT NULL,
  release_at timestamptz NOT NULL CHECK (release_at > requested_at)
);
CREATE INDEX token_unstakings_cooling ON token_unstakings (release_at) WHERE state = 'cooling';
CREATE INDEX token_unstakings_by_staker ON token_unstakings (staker_id, id);
CREATE INDEX token_unstakings_by_node ON token_unstakings (node_id) WHERE state = 'cooling';

-- Slashes: the sum of the parts of those that are neither returned nor burned is in the accounts `slashed`.
CREATE TABLE token_slashes (
  id text PRIMARY KEY,
  node_id text NOT NULL REFERENCES nodes,
  tenant_id text NOT NULL REFERENCES tenants,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'appealed', 'confirmed', 'returned', 'burned')),
  reason text NOT NULL,
  evidence text NOT NULL,
  -- A failed proof costs at most once.
  verification_id text UNIQUE,
  actor text NOT NULL,
  decided_at timestamptz NOT NULL,
  appeal_until timestamptz NOT NULL CHECK (appeal_until > decided_at),
  appeal text,
  decision text,
  CHECK (state <> 'appealed' OR appeal IS NOT NULL),
  CHECK (state NOT IN ('confirmed', 'returned') OR decision IS NOT NULL)
);
CREATE INDEX token_slashes_open ON token_slashes (appeal_until) WHERE state IN ('open', 'confirmed');
CREATE INDEX token_slashes_by_node ON token_slashes (node_id);
CREATE TABLE token_slash_parts (
  slash_id text NOT NULL REFERENCES token_slashes,
  part int NOT NULL,
  staker_id text NOT NULL REFERENCES tenants,
  -- Null: taken from the stake itself.
  unstaking_id text REFERENCES token_unstakings,
  amount bigint NOT NULL CHECK (amount > 0),
  PRIMARY KEY (slash_id, part)
);
CREATE INDEX token_slash_parts_by_staker ON token_slash_parts (staker_id);
CREATE TRIGGER token_slash_parts_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_slash_parts
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();

-- Hours of the schedule that are done, in order; what was found of each machine; who got what.
CREATE TABLE token_hours (
  hour int PRIMARY KEY CHECK (hour > 0),
  version int NOT NULL REFERENCES token_versions,
  scheduled bigint NOT NULL CHECK (scheduled >= 0),
  -- All of what is scheduled, or nothing.
  minted bigint NOT NULL CHECK (minted IN (0, scheduled)),
  rounding bigint NOT NULL CHECK (rounding BETWEEN 0 AND minted),
  -- Of hour 1 up to and with this one.
  minted_through numeric NOT NULL,
  machines int NOT NULL,
  eligible int NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE token_machine_hours (
  hour int NOT NULL REFERENCES token_hours,
  node_id text NOT NULL,
  supplier_id text NOT NULL,
  online_seconds int NOT NULL CHECK (online_seconds BETWEEN 0 AND 3600),
  devices jsonb NOT NULL,
  stake bigint NOT NULL,
  minimum_stake bigint NOT NULL,
  delegations jsonb NOT NULL,
  delegation_ppm int,
  referrer_id text,
  weight numeric NOT NULL CHECK (weight >= 0),
  reward bigint NOT NULL CHECK (reward >= 0),
  refusal text NOT NULL,
  PRIMARY KEY (node_id, hour)
);
CREATE INDEX token_machine_hours_by_hour ON token_machine_hours (hour);
CREATE TABLE token_rewards (
  hour int NOT NULL REFERENCES token_hours,
  tenant_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('machine', 'delegation', 'referral')),
  -- Empty: of referrals, which do not say whose machines brought them.
  node_id text NOT NULL,
  amount bigint NOT NULL CHECK (amount > 0),
  PRIMARY KEY (tenant_id, hour, kind, node_id)
);
CREATE INDEX token_rewards_by_hour ON token_rewards (hour);

-- One after the other, and never past the cap, whatever the program computes.
CREATE FUNCTION token_hour_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  before record;
  genesis token_genesis;
BEGIN
  SELECT coalesce(max(hour), 0) AS hour, coalesce(max(minted_through), 0) AS through INTO before FROM token_hours;
  SELECT * INTO genesis FROM token_genesis;
  IF genesis IS NULL OR NEW.hour <> before.hour + 1 OR NEW.hour > genesis.hours THEN
    RAISE EXCEPTION 'hour % does not follow hour % of the schedule', NEW.hour, before.hour
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.minted_through <> before.through + NEW.minted OR genesis.initial_supply + NEW.minted_through > genesis.cap THEN
    RAISE EXCEPTION 'hour % would pass the cap or does not add up', NEW.hour USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER token_hours_follow BEFORE INSERT ON token_hours FOR EACH ROW EXECUTE FUNCTION token_hour_follows();
CREATE TRIGGER token_hours_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_hours
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();
CREATE TRIGGER token_machine_hours_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_machine_hours
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();
CREATE TRIGGER token_rewards_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON token_rewards
  FOR EACH STATEMENT EXECUTE FUNCTION token_refuse();

-- Since when machines are online or away, as `nodes.online` changes: what their time in an hour is counted from.
CREATE TABLE node_presence (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node_id text NOT NULL REFERENCES nodes,
  online boolean NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX node_presence_by_node ON node_presence (node_id, id);
CREATE FUNCTION note_presence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- One that goes has been away since it was heard last.
  INSERT INTO node_presence (node_id, online, at)
  VALUES (NEW.id, NEW.online, CASE WHEN NEW.online THEN now() ELSE coalesce(NEW.last_heartbeat_at, now()) END);
  RETURN NULL;
END $$;
CREATE TRIGGER nodes_came AFTER INSERT ON nodes FOR EACH ROW WHEN (NEW.online) EXECUTE FUNCTION note_presence();
CREATE TRIGGER nodes_came_or_went AFTER UPDATE OF online ON nodes FOR EACH ROW
  WHEN (NEW.online IS DISTINCT FROM OLD.online) EXECUTE FUNCTION note_presence();
INSERT INTO node_presence (node_id, online, at)
SELECT id, true, coalesce(last_heartbeat_at, now()) FROM nodes WHERE online;

-- Who may change what a tenant's keys may do may use its tokens.
UPDATE api_keys SET scopes = array_append(scopes, 'token:write')
WHERE 'accounts:write' = ANY (scopes) AND NOT 'token:write' = ANY (scopes);
