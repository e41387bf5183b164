/** Billing on a database without the rest of the control plane: tenants with money, leases with prices, usage by the line. */
import { randomBytes } from 'node:crypto';
import { type Asset, type ClusterId, type LeaseId, type NodeId, newId, type TenantId } from '@iocloud/contracts';
import { iosdEntries, parseRatio } from '../../core/billing/index.js';
import { checkLedger } from '../../ledger/check.js';
import { credit } from '../../ledger/credits.js';
import { listAccounts } from '../../ledger/statement.js';
import { postTokens } from '../../ledger/tokens.js';
import type { Database } from '../../platform/index.js';
import { type ChargeTerms, chargeBatch, chargeNext } from '../charge.js';
import { Charging } from '../charging.js';
import { checkUsage } from '../check.js';
import { cover } from '../cover.js';
import { closeIfOver } from '../orders.js';
import { tendAll } from '../tend.js';
import type { BillingTerms } from '../wiring.js';

export { Charging, chargeNext };

/** All that can be charged; throws what a line that cannot be throws. */
export async function chargeAll(database: Database, terms: ChargeTerms): Promise<void> {
  while ((await chargeNext(database, terms)) === chargeBatch);
}

/** Fees as they are by default, and a price of IO that the test changes; null: none is usable. */
export class TrialTerms implements BillingTerms {
  mode: BillingTerms['mode'] = 'prepaid';
  fees = { paymentPpm: 20_000n, paymentInIoPpm: 0n, reservationRenterPpm: 2_500n, reservationSupplierPpm: 2_500n };
  aheadMs = 3_600_000n;
  lowBalanceHours = 2;
  usdPerIo: string | null = '1.85';
  rate = async () => {
    const last = parseRatio(this.usdPerIo ?? '1.85');
    return { usable: this.usdPerIo === null ? null : last, last };
  };
}

export class BillingTrial {
  readonly terms = new TrialTerms();
  #made = 0;

  constructor(readonly database: Database) {}

  async tenant(money: Partial<Record<Asset, bigint>> = {}): Promise<TenantId> {
    const tenantId = newId('tenant', randomBytes);
    await this.database.query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [tenantId]);
    for (const [asset, amount] of Object.entries(money)) await this.credit(tenantId, asset as Asset, amount);
    return tenantId;
  }

  async credit(tenantId: TenantId, asset: Asset, amount: bigint): Promise<void> {
    this.#made += 1;
    const key = `${tenantId} ${this.#made}`;
    await this.database.transaction(tx => credit(tx, { key, tenantId, asset, amount, reason: 'test', actor: 'test' }));
  }

  async burn(tenantId: TenantId, ioUnits: bigint, iosdUnits: bigint): Promise<void> {
    this.#made += 1;
    const posting = { key: `test ${this.#made}`, kind: 'burn' as const, memo: 'test', detail: {}, actor: 'test' };
    const entries = iosdEntries(tenantId, ioUnits, iosdUnits);
    await this.database.transaction(tx => postTokens(tx, [{ ...posting, entries }], 'too little IO'));
  }

  async machine(supplierId: TenantId): Promise<NodeId> {
    const id = newId('node', randomBytes);
    await this.database.query('INSERT INTO nodes (id, tenant_id, name, public_key) VALUES ($1, $2, $1, $1)', [
      id,
      supplierId,
    ]);
    return id;
  }

  /** A cluster whose leases are covered and made, as the loop of clusters does it. Throws what `cover` refuses. */
  async cluster(
    tenantId: TenantId,
    leases: { nodeId: NodeId; microUsdPerHour: number; isOwn?: boolean }[],
    at: Date,
  ): Promise<{ clusterId: ClusterId; leaseIds: LeaseId[]; orderId: string | null }> {
    const clusterId = newId('cluster', randomBytes);
    await this.database.query(
      `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token)
       VALUES ($1, $2, $1, '{"budgetMicroUsd": null}', 'user', 'running', 'ready', '')`,
      [clusterId, tenantId],
    );
    return { clusterId, ...(await this.lease(tenantId, clusterId, leases, at)) };
  }

  async lease(
    tenantId: TenantId,
    clusterId: ClusterId,
    leases: { nodeId: NodeId; microUsdPerHour: number; isOwn?: boolean }[],
    at: Date,
  ): Promise<{ leaseIds: LeaseId[]; orderId: string | null }> {
    return this.database.transaction(async tx => {
      const microUsdPerHour = leases.reduce((sum, lease) => sum + (lease.isOwn ? 0 : lease.microUsdPerHour), 0);
      const wanted = { clusterId, tenantId, name: clusterId, microUsdPerHour, budgetLeftMicroUsd: null, now: at };
      const covered = await cover(tx, this.terms, wanted);
      if ('refused' in covered) throw new Error(covered.refused);
      const leaseIds: LeaseId[] = [];
      for (const lease of leases) {
        const id = newId('lease', randomBytes);
        leaseIds.push(id);
        this.#made += 1;
        await tx.query(
          `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, cpus, memory_bytes, spec,
             created_at, ready_at, phase, micro_usd_per_hour, order_id)
           VALUES ($1, $2, $3, $4, 'worker', 'g', $5, 1, 1, '{}', $6, $6, 'ready', $7, $8)`,
          [
            id,
            tenantId,
            clusterId,
            lease.nodeId,
            this.#made,
            at,
            lease.microUsdPerHour,
            lease.isOwn ? null : covered.orderId,
          ],
        );
      }
      return { leaseIds, orderId: covered.orderId };
    });
  }

  async release(leaseIds: readonly LeaseId[], at: Date): Promise<void> {
    await this.database.query('UPDATE leases SET released_at = $2 WHERE id = ANY ($1)', [leaseIds, at]);
  }

  /** A line of usage; a later one of the same window is a correction. */
  async use(
    leaseId: LeaseId,
    windowStart: Date,
    billableMs: number,
    revision = 0,
    windowSeconds = 3_600,
  ): Promise<void> {
    await this.database.query(
      `INSERT INTO usage_lines (lease_id, window_start, window_seconds, revision, billable_ms, allocated_ms,
         device_billable_ms, device_allocated_ms, cpu_ms, mib_seconds, egress_bytes, evidence)
       VALUES ($1, $2, $3, $4, $5, $5, $5, $5, 0, 0, 0, '{}')`,
      [leaseId, windowStart, windowSeconds, revision, billableMs],
    );
  }

  charge = (): Promise<void> => chargeAll(this.database, this.terms);
  tend = (at: Date): Promise<boolean> => tendAll(this.database, this.terms, at);
  close = (clusterId: ClusterId): Promise<boolean> => closeIfOver(this.database, clusterId);
  check = () => checkLedger(this.database, checkUsage);

  /** By sort and asset of accounts, in the smallest unit, without those at zero; of nobody: of the network. */
  async balances(tenantIds: readonly TenantId[] | null = null): Promise<Record<string, string>> {
    const sums = new Map<string, bigint>();
    for (const whose of tenantIds ?? [null]) {
      const page = { after: undefined, limit: 100_000, closed: true };
      for (const { kind, asset, tenantId, balance } of await listAccounts(this.database, whose, page)) {
        if (tenantIds === null && tenantId !== null) continue;
        const name = `${kind} ${asset}`;
        sums.set(name, (sums.get(name) ?? 0n) + BigInt(balance.replace('.', '')));
      }
    }
    const there = [...sums].filter(([, sum]) => sum !== 0n).sort(([one], [other]) => (one < other ? -1 : 1));
    return Object.fromEntries(there.map(([name, sum]) => [name, String(sum)]));
  }
}
