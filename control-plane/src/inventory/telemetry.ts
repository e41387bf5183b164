/** What agents measure of their machines: kept for a while, the newest of it shown to Prometheus. */
import {
  type AgentMessage,
  type LeaseUsage,
  type NodeId,
  type NodeTelemetry,
  type TelemetrySample,
  type TenantId,
  telemetryIntervalMs,
} from '@iocloud/contracts';
import { Batcher, type Database, type Logger, type Queryable, Recurring } from '../platform/index.js';
import { forgetPresence } from './staked.js';

type Message = Extract<AgentMessage, { type: 'telemetry' }>;

interface Row {
  nodeId: NodeId;
  run: string;
  sequence: number;
  ageSeconds: number;
  machine: TelemetrySample['machine'];
  devices: TelemetrySample['devices'];
  leases: TelemetrySample['leases'];
}

/** What a machine says of a lease on it. */
export interface UsageSample extends LeaseUsage {
  nodeId: NodeId;
  run: string;
  ageSeconds: number;
}

const usageOf = (rows: readonly Row[]): UsageSample[] =>
  rows.flatMap(({ nodeId, run, ageSeconds, leases }) => leases.map(usage => ({ ...usage, nodeId, run, ageSeconds })));

/** Messages of so many milliseconds are recorded together, at most so many. */
const spacingMs = 200;
const mostMessages = 200;
/** Twice what an agent that works as it should ever sends: one that floods us is cut off. */
const headroom = 2;

export class TelemetryBook {
  readonly #batches: Batcher<Row[], true>;
  /** How many samples each machine has sent since when. */
  readonly #sent = new Map<NodeId, { sinceMs: number; samples: number }>();

  constructor(
    database: Database,
    readonly keptHours: number,
    readonly monotonicMs: () => number,
    /** Keeps what machines say of the leases on them, before they are told that it is on record. */
    readonly onUsage: (usage: readonly UsageSample[]) => Promise<void> = async () => undefined,
  ) {
    const record = async (batches: Row[][]) => {
      await insert(database, batches.flat(), keptHours);
      await onUsage(usageOf(batches.flat()));
      return batches.map(() => true as const);
    };
    this.#batches = new Batcher(record, mostMessages, undefined, spacingMs);
  }

  /** Resolves with the number up to which this run's samples are on record. Throws for a machine that sends far too many. */
  async record(nodeId: NodeId, { run, samples }: Message): Promise<number> {
    this.#count(nodeId, samples.length);
    const rows = samples.map(({ sequence, ageMs, machine, devices, leases }) => {
      return { nodeId, run, sequence, ageSeconds: ageMs / 1_000, machine, devices, leases };
    });
    await this.#batches.add(rows);
    return Math.max(...samples.map(({ sequence }) => sequence));
  }

  #count(nodeId: NodeId, samples: number): void {
    const nowMs = this.monotonicMs();
    const hourMs = 3_600_000;
    const before = this.#sent.get(nodeId);
    const window = before && nowMs - before.sinceMs < hourMs ? before : { sinceMs: nowMs, samples: 0 };
    window.samples += samples;
    this.#sent.set(nodeId, window);
    // In an hour: its samples, and those that it kept while it could not be heard.
    if (window.samples > (headroom * (1 + this.keptHours) * hourMs) / telemetryIntervalMs) {
      throw new Error(`a machine sends more telemetry than one can have: ${window.samples} samples in an hour`);
    }
  }

  forget(nodeId: NodeId): void {
    this.#sent.delete(nodeId);
  }
}

async function insert(db: Queryable, rows: Row[], keptHours: number): Promise<void> {
  await db.query({
    name: 'record-telemetry',
    text: `INSERT INTO node_telemetry (node_id, run, sequence, at, machine, devices)
           SELECT s.node_id, s.run, s.sequence, now() - make_interval(secs => s.age), s.machine, s.devices
           FROM unnest($1::text[], $2::uuid[], $3::int[], $4::float8[], $5::jsonb[], $6::jsonb[])
             AS s (node_id, run, sequence, age, machine, devices)
           WHERE s.age < $7 * 3600 AND EXISTS (SELECT 1 FROM nodes WHERE id = s.node_id)
           ON CONFLICT DO NOTHING`,
    values: [
      rows.map(({ nodeId }) => nodeId),
      rows.map(({ run }) => run),
      rows.map(({ sequence }) => sequence),
      rows.map(({ ageSeconds }) => ageSeconds),
      rows.map(({ machine }) => JSON.stringify(machine)),
      rows.map(({ devices }) => JSON.stringify(devices)),
      keptHours,
    ],
  });
}

interface StoredRow {
  at: Date;
  machine: NodeTelemetry['machine'];
  devices: NodeTelemetry['devices'];
}

/** Of one machine after a time, oldest first. */
export async function telemetryOf(db: Queryable, nodeId: NodeId, after: Date, limit: number): Promise<NodeTelemetry[]> {
  const { rows } = await db.query<StoredRow>(
    'SELECT at, machine, devices FROM node_telemetry WHERE node_id = $1 AND at > $2 ORDER BY at LIMIT $3',
    [nodeId, after, limit],
  );
  return rows.map(({ at, ...sample }) => ({ at: at.toISOString(), ...sample }));
}

export interface LatestTelemetry {
  nodeId: NodeId;
  name: string;
  region: string | null;
  online: boolean;
  devices: { index: number; uuid: string; model: string }[];
  /** Null: nothing has been heard of it for some time. */
  sample: NodeTelemetry | null;
}

/** Older than this a sample says nothing of now. */
const freshSeconds = (3 * telemetryIntervalMs) / 1_000;

/** The newest of each machine, of one tenant or of all. */
export async function latestTelemetry(db: Queryable, tenantId: TenantId | null): Promise<LatestTelemetry[]> {
  const { rows } = await db.query<
    { id: NodeId; name: string; region: string | null; online: boolean } & {
      listed: LatestTelemetry['devices'] | null;
      at: Date | null;
      machine: NodeTelemetry['machine'];
      devices: NodeTelemetry['devices'];
    }
  >(
    `SELECT n.id, n.name, n.terms->>'region' AS region, n.online, n.inventory->'devices' AS listed,
       t.at, t.machine, t.devices
     FROM nodes n LEFT JOIN LATERAL (
       SELECT at, machine, devices FROM node_telemetry
       WHERE node_id = n.id AND at > now() - make_interval(secs => $2) ORDER BY at DESC LIMIT 1) t ON true
     WHERE n.removed_at IS NULL AND ($1::text IS NULL OR n.tenant_id = $1) ORDER BY n.id`,
    [tenantId, freshSeconds],
  );
  return rows.map(({ id, name, region, online, listed, at, machine, devices }) => ({
    nodeId: id,
    name,
    region,
    online,
    devices: listed ?? [],
    sample: at && { at: at.toISOString(), machine, devices },
  }));
}

const sweepIntervalMs = 60_000;
const deletedAtOnce = 10_000;

/** Forgets what is older than it shall be kept. */
export const telemetrySweep = (database: Database, keptHours: number, log: Logger): Recurring =>
  new Recurring(
    'forget-telemetry',
    sweepIntervalMs,
    async isStopped => {
      await forgetPresence(database);
      for (let deleted = deletedAtOnce; deleted === deletedAtOnce && !isStopped(); ) {
        deleted = await forgetOld(database, keptHours);
      }
    },
    error => log.warn({ err: error }, 'old telemetry could not be deleted; again soon'),
  );

export async function forgetOld(db: Queryable, keptHours: number): Promise<number> {
  const { rowCount } = await db.query(
    `DELETE FROM node_telemetry WHERE ctid = ANY(ARRAY(
       SELECT ctid FROM node_telemetry WHERE at < now() - make_interval(hours => $1) ORDER BY at LIMIT $2))`,
    [keptHours, deletedAtOnce],
  );
  return rowCount ?? 0;
}
