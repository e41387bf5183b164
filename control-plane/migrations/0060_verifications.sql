-- Challenges by which devices prove what they are: one row for each device and hour, and for each that was asked for
-- besides. The life is core/verification/life.ts.
CREATE TABLE verifications (
  id text PRIMARY KEY,
  node_id text NOT NULL REFERENCES nodes,
  tenant_id text NOT NULL REFERENCES tenants,
  -- Null: the machine's processors and memory.
  device_index int,
  device_uuid text NOT NULL,
  device_model text NOT NULL,
  hour timestamptz NOT NULL,
  -- Told to nobody before it is judged.
  due_at timestamptz NOT NULL,
  state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'challenged', 'committed', 'opened', 'judged')),
  tries int NOT NULL DEFAULT 0 CHECK (tries >= 0),
  -- Whoever holds the conversation has until then: later it has gone, and another takes over.
  held_until timestamptz,
  expectation jsonb,
  passes jsonb NOT NULL DEFAULT '[]',
  checks jsonb NOT NULL DEFAULT '[]',
  seed text,
  verdict text CHECK (verdict IN ('passed', 'failed', 'missed', 'leased', 'void')),
  reason text NOT NULL DEFAULT '',
  judged_at timestamptz,
  CHECK ((state = 'judged') = (verdict IS NOT NULL AND judged_at IS NOT NULL))
);
-- At most one is open for a device.
CREATE UNIQUE INDEX verifications_open ON verifications (node_id, device_uuid) WHERE state <> 'judged';
CREATE INDEX verifications_by_node ON verifications (node_id, hour DESC, id DESC);
CREATE INDEX verifications_judged ON verifications (node_id, device_uuid, judged_at DESC) WHERE state = 'judged';
CREATE INDEX verifications_of_supplier ON verifications (tenant_id, judged_at) WHERE state = 'judged';
-- Old ones are deleted by age.
CREATE INDEX verifications_by_age ON verifications (judged_at) WHERE state = 'judged';
CREATE INDEX verifications_due ON verifications (due_at) WHERE state <> 'judged';

CREATE TABLE verification_appeals (
  verification_id text PRIMARY KEY REFERENCES verifications,
  reason text NOT NULL,
  filed_by text NOT NULL,
  filed_at timestamptz NOT NULL DEFAULT now(),
  decision text CHECK (decision IN ('accepted', 'rejected')),
  decision_reason text,
  decided_by text,
  decided_at timestamptz,
  CHECK ((decision IS NULL) = (decided_at IS NULL))
);

-- What the control plane's configuration says (IOCLOUD_VERIFICATION), written at its start: one row.
CREATE TABLE verification_policy (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  required boolean NOT NULL
);
INSERT INTO verification_policy (required) VALUES (false);

-- May be offered to others than its owner. Only the verification domain writes it.
ALTER TABLE nodes ADD COLUMN eligible boolean NOT NULL DEFAULT true;
CREATE FUNCTION start_eligibility() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.eligible := NOT (SELECT required FROM verification_policy);
  RETURN NEW;
END $$;
CREATE TRIGGER nodes_eligibility BEFORE INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION start_eligibility();
-- Placement goes by it.
CREATE TRIGGER nodes_eligible AFTER UPDATE OF eligible ON nodes FOR EACH ROW EXECUTE FUNCTION note_node_change();

-- A failed challenge counts against a machine and its supplier; an accepted appeal takes that back.
ALTER TABLE evidence DROP CONSTRAINT evidence_kind_check;
ALTER TABLE evidence ADD CONSTRAINT evidence_kind_check CHECK (
  kind IN ('attemptEnded', 'attemptInterrupted', 'rayNodeLost', 'drained', 'rated', 'challengeFailed', 'challengeVoided')
);
