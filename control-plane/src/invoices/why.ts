/**
 * Why a line or a transaction is what it is: windows with their usage lines and evidence, the jobs that ran on the
 * cluster then, prices, and the postings. A supplier is told of its machine, not of who rented it and what for.
 */
import {
  type ClusterId,
  type LeaseId,
  type LedgerTransaction,
  type PriceBasis,
  type TenantId,
  type UsageReason,
  unitsInWords,
  type Why,
} from '@iocloud/contracts';
import type { LeaseFacts } from '../clusters/index.js';
import { gpuMsHeld } from '../core/invoicing/index.js';
import type { HeldAttempt } from '../jobs/index.js';
import { listTransactionsOf } from '../ledger/index.js';
import type { Queryable } from '../platform/index.js';
import { secondsInWords } from './document.js';
import type { InvoicePorts } from './ports.js';
import { type UsageRow, usageLines } from './usage.js';

/** Null: an operator, who sees all. */
export type Viewer = TenantId | null;

interface Asked {
  viewer: Viewer;
  /** False: asked of a statement, which tells of no renter, though it be the supplier itself. */
  isRenter: boolean;
  usageLineIds: readonly number[];
  transactionIds: readonly number[];
}

export async function explain(db: Queryable, ports: InvoicePorts, asked: Asked, now: Date): Promise<Omit<Why, 'next'>> {
  const rows = await usageLines(db, asked.usageLineIds);
  const leases = await ports.leases(db, [...new Set(rows.map(row => row.lease_id))]);
  const isRenters = (lease: LeaseFacts) => asked.isRenter && (asked.viewer === null || lease.tenantId === asked.viewer);
  const attempts = await attemptsDuring(db, ports, rows, leases, isRenters);
  const charged = rows.flatMap(({ transaction_id }) => (transaction_id === null ? [] : [transaction_id]));
  const transactions = await listTransactionsOf(db, asked.viewer, [...new Set([...asked.transactionIds, ...charged])]);
  const usage = rows.flatMap(row => {
    const lease = leases.get(row.lease_id);
    return lease ? [reasonOf(row, lease, isRenters(lease) ? attempts : null, now)] : [];
  });
  return { usage, prices: await pricesOf(db, ports, rows, leases), transactions: transactions.map(told(asked.viewer)) };
}

const untilOf = (row: UsageRow) => new Date(row.window_start.getTime() + row.window_seconds * 1_000);

async function attemptsDuring(
  db: Queryable,
  ports: InvoicePorts,
  rows: readonly UsageRow[],
  leases: ReadonlyMap<LeaseId, LeaseFacts>,
  isRenters: (lease: LeaseFacts) => boolean,
): Promise<HeldAttempt[]> {
  const clusters = new Set<ClusterId>();
  for (const lease of leases.values()) if (isRenters(lease)) clusters.add(lease.clusterId);
  const first = rows[0];
  if (!first || clusters.size === 0) return [];
  const until = rows.map(untilOf).reduce((latest, each) => (each > latest ? each : latest));
  return ports.attempts(db, [...clusters], first.window_start, until);
}

/** `attempts` null: for the supplier. */
function reasonOf(row: UsageRow, lease: LeaseFacts, attempts: HeldAttempt[] | null, now: Date): UsageReason {
  const window = { fromMs: row.window_start.getTime(), untilMs: untilOf(row).getTime() };
  const jobs = (attempts ?? [])
    .filter(({ clusterId }) => clusterId === lease.clusterId)
    .map(attempt => {
      const time = {
        fromMs: attempt.startedAt.getTime(),
        untilMs: (attempt.endedAt ?? now).getTime(),
      };
      return {
        attempt,
        heldMs: gpuMsHeld(window, time, attempt.gpus),
        isIn: time.untilMs > window.fromMs && time.fromMs < window.untilMs,
      };
    })
    .filter(({ isIn }) => isIn)
    .map(({ attempt: { submissionId, raySubmissionId, number, gpus }, heldMs }) => ({
      submissionId,
      raySubmissionId,
      attempt: number,
      gpus,
      gpuSecondsHeld: secondsInWords(heldMs),
    }));
  return {
    usageLineId: row.id,
    leaseId: row.lease_id,
    nodeId: lease.nodeId,
    clusterId: attempts === null ? null : lease.clusterId,
    from: row.window_start.toISOString(),
    until: untilOf(row).toISOString(),
    revision: row.revision,
    secondsHeld: secondsInWords(BigInt(row.allocated_ms)),
    secondsBilled: secondsInWords(BigInt(row.billable_ms)),
    gpuSecondsHeld: secondsInWords(BigInt(row.device_allocated_ms)),
    gpuSecondsBilled: secondsInWords(BigInt(row.device_billable_ms)),
    evidence: attempts === null ? withoutRenter(row.evidence) : row.evidence,
    costUsd: unitsInWords(BigInt(row.cost ?? '0'), 'USD'),
    pricePerHourUsd: unitsInWords(BigInt(row.price ?? lease.microUsdPerHour), 'USD'),
    usdPerIo: row.usd_per_io,
    reason: row.cost === null ? 'not charged yet' : (row.reason ?? ''),
    transactionId: row.transaction_id,
    jobs,
  };
}

const renterIds = /\b(?:tn|us|cl|jb|at)_[0-9a-hjkmnp-tv-z]{20}\b/g;
/** Labels by which series name who rents, and what runs there. */
const renterLabels = /\b(tenant|cluster|job|submission|submission_id|cluster_id|cluster_name|job_id)=~?"[^"]*"/g;

/** With all that names the renter or its work left out. */
export function withoutRenter(evidence: Record<string, unknown>): Record<string, unknown> {
  const clean = (value: unknown): unknown => {
    if (typeof value === 'string') return value.replace(renterLabels, '$1="…"').replace(renterIds, '…');
    if (Array.isArray(value)) return value.map(clean);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => !/^(tenant|cluster|jobs?|submission)/i.test(key))
        .map(([key, inner]) => [key, clean(inner)]),
    );
  };
  return clean(evidence) as Record<string, unknown>;
}

/** Wherever the basis names them: `h100-sxm@2027-01-31T05Z`. */
const versionIdsIn = (basis: Record<string, unknown>): string[] => [
  ...new Set(JSON.stringify(basis).match(/[a-z0-9][a-z0-9-]*@\d{4}-\d{2}-\d{2}T\d{2}Z/g)),
];

async function pricesOf(
  db: Queryable,
  ports: InvoicePorts,
  rows: readonly UsageRow[],
  leases: ReadonlyMap<LeaseId, LeaseFacts>,
): Promise<PriceBasis[]> {
  const prices: PriceBasis[] = [];
  for (const leaseId of new Set(rows.map(row => row.lease_id))) {
    const lease = leases.get(leaseId);
    if (!lease) continue;
    prices.push({
      leaseId,
      pricePerHourUsd: unitsInWords(BigInt(lease.microUsdPerHour), 'USD'),
      basis: lease.priceBasis,
      versions: await ports.priceVersions(db, versionIdsIn(lease.priceBasis)),
    });
  }
  return prices;
}

/** What others wrote beside the postings stays theirs: who posted it, and what the memo of another's order says. */
const told =
  (viewer: Viewer) =>
  (transaction: LedgerTransaction): LedgerTransaction => {
    const own = transaction.entries.some(({ tenantId, kind }) => tenantId === viewer && kind !== 'earnings');
    return viewer === null || own ? transaction : { ...transaction, memo: transaction.memo.replace(renterIds, '…') };
  };
