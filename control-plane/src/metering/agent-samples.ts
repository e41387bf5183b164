/** Counters of leases as their machines' agents read them. */
import type { LeaseId, LeaseUsage, NodeId } from '@iocloud/contracts';
import type { Sample } from '../core/metering/index.js';
import type { Database, Queryable } from '../platform/index.js';
import { lookAgain } from './lines.js';

export interface AgentSample extends LeaseUsage {
  nodeId: NodeId;
  run: string;
  ageSeconds: number;
}

/** Of a machine's own leases alone. What comes twice or out of order leaves the same on record; what comes late is metered again. */
export async function recordAgentSamples(
  database: Database,
  windowSeconds: number,
  samples: readonly AgentSample[],
): Promise<void> {
  if (samples.length === 0) return;
  await database.transaction(async tx => {
    const values = [
      samples.map(({ leaseId }) => leaseId),
      samples.map(({ nodeId }) => nodeId),
      samples.map(({ run }) => run),
      samples.map(({ ageSeconds }) => ageSeconds),
      samples.map(({ cpuMs }) => cpuMs),
      samples.map(({ mibSeconds }) => mibSeconds),
      samples.map(({ egressBytes }) => egressBytes),
    ];
    const told = `WITH told AS (
      SELECT s.lease_id, s.run, greatest(l.created_at, now() - make_interval(secs => s.age)) AS at, s.cpu_ms, s.mib_seconds,
        s.egress_bytes
      FROM unnest($1::text[], $2::text[], $3::uuid[], $4::float8[], $5::bigint[], $6::bigint[], $7::bigint[])
        AS s (lease_id, node_id, run, age, cpu_ms, mib_seconds, egress_bytes)
      JOIN leases l ON l.id = s.lease_id AND l.node_id = s.node_id)`;
    await tx.query({
      name: 'lease-counters',
      text: `${told} INSERT INTO lease_counters AS c (lease_id, run, cpu_ms, mib_seconds, egress_bytes)
             SELECT lease_id, run, max(cpu_ms), max(mib_seconds), max(egress_bytes) FROM told GROUP BY 1, 2 ORDER BY 1, 2
             ON CONFLICT (lease_id, run) DO UPDATE SET cpu_ms = greatest(c.cpu_ms, excluded.cpu_ms),
               mib_seconds = greatest(c.mib_seconds, excluded.mib_seconds),
               egress_bytes = greatest(c.egress_bytes, excluded.egress_bytes)`,
      values,
    });
    const { rows } = await tx.query<{ lease_id: LeaseId; at: Date }>({
      name: 'lease-samples',
      text: `${told} INSERT INTO lease_samples AS s (lease_id, run, stretch, at, cpu_ms, mib_seconds, egress_bytes)
             SELECT lease_id, run, floor(extract(epoch FROM at) / $8), max(at), max(cpu_ms), max(mib_seconds),
               max(egress_bytes) FROM told GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
             ON CONFLICT (lease_id, run, stretch) DO UPDATE SET at = greatest(s.at, excluded.at),
               cpu_ms = greatest(s.cpu_ms, excluded.cpu_ms), mib_seconds = greatest(s.mib_seconds, excluded.mib_seconds),
               egress_bytes = greatest(s.egress_bytes, excluded.egress_bytes)
             RETURNING lease_id, at`,
      values: [...values, stretchSeconds(windowSeconds)],
    });
    const inOrder = rows.sort((left, right) => (left.lease_id < right.lease_id ? -1 : 1));
    await lookAgain(
      tx,
      inOrder.map(row => row.lease_id),
      inOrder.map(row => row.at),
    );
  });
}

/** Of which the last sample is kept. */
const stretchSeconds = (windowSeconds: number) => Math.max(1, Math.floor(windowSeconds / 6));

export type RunSample = { run: string; cpuMs: number; mibSeconds: number; egressBytes: number; atMs: number };

/** Of each lease from a time of its own on, and the last of each run before it: that counts for what is said later. */
export async function agentSamples(
  db: Queryable,
  leases: readonly { leaseId: LeaseId; fromMs: number }[],
): Promise<Map<LeaseId, RunSample[]>> {
  const { rows } = await db.query<{
    lease_id: LeaseId;
    run: string;
    at: Date;
    cpu_ms: number;
    mib_seconds: number;
    egress_bytes: number;
  }>({
    name: 'agent-samples',
    text: `SELECT s.lease_id, s.run, max(s.at) AS at, max(s.cpu_ms) AS cpu_ms, max(s.mib_seconds) AS mib_seconds,
             max(s.egress_bytes) AS egress_bytes
           FROM unnest($1::text[], $2::timestamptz[]) AS a (lease_id, from_at) JOIN lease_samples s ON s.lease_id = a.lease_id
           GROUP BY s.lease_id, s.run, CASE WHEN s.at >= a.from_at THEN s.stretch ELSE -1 END`,
    values: [leases.map(({ leaseId }) => leaseId), leases.map(({ fromMs }) => new Date(fromMs))],
  });
  const found = new Map<LeaseId, RunSample[]>();
  for (const { lease_id, run, at, cpu_ms, mib_seconds, egress_bytes } of rows) {
    const one = { run, atMs: at.getTime(), cpuMs: cpu_ms, mibSeconds: mib_seconds, egressBytes: egress_bytes };
    const before = found.get(lease_id);
    if (before) before.push(one);
    else found.set(lease_id, [one]);
  }
  return found;
}

/** What all runs together have reached. */
export async function agentTotals(
  db: Queryable,
  leaseIds: readonly LeaseId[],
): Promise<Map<LeaseId, Omit<LeaseUsage, 'leaseId'>>> {
  const { rows } = await db.query<{ lease_id: LeaseId; cpu_ms: number; mib_seconds: number; egress_bytes: number }>({
    name: 'agent-totals',
    text: `SELECT lease_id, sum(cpu_ms)::bigint AS cpu_ms, sum(mib_seconds)::bigint AS mib_seconds,
             sum(egress_bytes)::bigint AS egress_bytes FROM lease_counters WHERE lease_id = ANY($1) GROUP BY 1`,
    values: [leaseIds],
  });
  return new Map(
    rows.map(row => [row.lease_id, { cpuMs: row.cpu_ms, mibSeconds: row.mib_seconds, egressBytes: row.egress_bytes }]),
  );
}

export const samplesOf = (samples: readonly RunSample[], kind: 'cpuMs' | 'mibSeconds' | 'egressBytes') =>
  samples.map((sample): Sample & { run: string } => ({ run: sample.run, atMs: sample.atMs, value: sample[kind] }));
