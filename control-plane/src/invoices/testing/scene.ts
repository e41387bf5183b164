/** A renter on a supplier's machine with accelerators, its usage charged at times of the test's choosing, and invoices over HTTP. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type Asset, type ClusterId, type LeaseId, type NodeId, newId } from '@iocloud/contracts';
import { authenticator, getTenant } from '../../accounts/index.js';
import { leaseFacts } from '../../clusters/index.js';

import { escrow, moved, nameOf, ofNetwork } from '../../core/billing/index.js';
import { heldAttempts } from '../../jobs/index.js';
import { credit, reverse } from '../../ledger/credits.js';
import { openHold, settle } from '../../ledger/holds.js';
import { post } from '../../ledger/post.js';
import { Http, Signer, type Transaction } from '../../platform/index.js';
import { versionsById } from '../../pricing/index.js';
import { callWith, type Ground, newTenantKey, startGround, type TestKey } from '../../test-ground.js';
import { type ClosingWiring, closeNextMonth } from '../closing.js';
import { type InvoicePorts, invoiceRoutes } from '../index.js';

const fees = { paymentPpm: 20_000n, paymentInIoPpm: 0n, reservationRenterPpm: 2_500n, reservationSupplierPpm: 2_500n };
export const usdPerIo = { numerator: 37n, denominator: 20n };
export const issuer = { name: 'Example Ltd', address: ['1 Road'], taxId: 'VAT 1', contact: '', note: 'Thank you.' };

export const invoicePorts: InvoicePorts = {
  leases: leaseFacts,
  attempts: heldAttempts,
  priceVersions: versionsById,
  tenantName: async (db, tenantId) => (await getTenant(db, tenantId)).name,
};

export interface Use {
  /** Of the window; it is charged an hour later unless `at` says otherwise. */
  from: string;
  at?: string;
  costMicroUsd?: bigint;
  revision?: number;
  /** Of the lease, which has two accelerators. */
  heldMs?: bigint;
  evidence?: Record<string, unknown>;
}

export class InvoiceScene {
  renter!: TestKey;
  supplier!: TestKey;
  cluster!: ClusterId;
  lease!: LeaseId;
  node!: NodeId;
  asset: Asset = 'USDC';
  #number = 0;

  private constructor(
    readonly ground: Ground,
    readonly http: Http,
    readonly base: string,
    readonly operator: TestKey,
  ) {}

  static async start(): Promise<InvoiceScene> {
    const ground = await startGround();
    const { database, log } = ground;
    // What the ledger posts has the time of the test's clock.
    await database.query(
      `CREATE TABLE test_clock (at timestamptz NOT NULL);
       INSERT INTO test_clock VALUES (now());
       CREATE FUNCTION test_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT at FROM test_clock';
       ALTER TABLE ledger_transactions ALTER COLUMN at SET DEFAULT test_now();`,
    );
    const http = new Http(authenticator(database, new Signer('a secret of this test')), log);
    const operator = await newTenantKey(database, { role: 'operator' });
    const scene = new InvoiceScene(ground, http, '', operator);
    invoiceRoutes(http, { database, ports: invoicePorts, issuer, now: () => scene.now });
    await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
    const base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
    return Object.assign(scene, { base });
  }

  now = new Date();

  async stop(): Promise<void> {
    this.http.server.closeAllConnections();
    this.http.server.close();
    await this.ground.stop();
  }

  async clock(at: string): Promise<void> {
    this.now = new Date(at);
    await this.ground.database.query('UPDATE test_clock SET at = $1', [at]);
  }

  /** New tenants with a machine, a cluster and a lease, and money set aside for it. */
  async nextOrder(asset: Asset = 'USDC'): Promise<void> {
    const { database } = this.ground;
    this.asset = asset;
    this.#number += 1;
    this.renter = await newTenantKey(database);
    this.supplier = await newTenantKey(database);
    await this.nextLease();
    await this.fund('100000');
  }

  /** A further lease of the same tenants, in a cluster of its own. */
  async nextLease(name = 'train'): Promise<void> {
    const { database } = this.ground;
    this.cluster = newId('cluster', randomBytes);
    this.lease = newId('lease', randomBytes);
    this.node = newId('node', randomBytes);
    const devices = [0, 1].map(index => ({ index, uuid: `GPU-${index}`, vendor: 'nvidia', model: 'NVIDIA H100 PCIe' }));
    await database.query(`INSERT INTO nodes (id, tenant_id, name, public_key, inventory) VALUES ($1, $2, $1, $1, $3)`, [
      this.node,
      this.supplier.tenantId,
      JSON.stringify({ devices }),
    ]);
    await database.query(
      `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token)
       VALUES ($1, $2, $3, '{}', 'user', 'running', 'ready', '\\x00')`,
      [this.cluster, this.renter.tenantId, name],
    );
    await database.query(
      `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, cpus, memory_bytes, spec,
         micro_usd_per_hour) VALUES ($1, $2, $3, $4, 'head', 'head', 0, 4, 1024, '{}', 2000000)`,
      [this.lease, this.renter.tenantId, this.cluster, this.node],
    );
    await database.query(
      `INSERT INTO lease_devices (lease_id, node_id, device_index) VALUES ($1, $2, 0), ($1, $2, 1)`,
      [this.lease, this.node],
    );
  }

  get order(): string {
    return `order-${this.#number}`;
  }

  async fund(whole: string): Promise<void> {
    const { database } = this.ground;
    const { renter, asset, order: reference } = this;
    const amount = BigInt(whole) * (asset === 'IO' ? 100_000_000n : 1_000_000n);
    const terms = { tenantId: renter.tenantId, asset, amount, actor: 'test' };
    await database.transaction(tx => credit(tx, { ...terms, key: `${reference} ${asset}`, reason: 'deposit' }));
    await database.transaction(tx => openHold(tx, { ...terms, reference, memo: 'a cluster' }));
  }

  /** A usage line with its charge: a settlement of the ledger. The transaction's id. */
  async use({ from, at, costMicroUsd = 1_234_567n, heldMs, evidence, revision = 0 }: Use): Promise<number> {
    await this.clock(at ?? new Date(Date.parse(from) + 3_600_000).toISOString());
    return this.ground.database.transaction(async tx => {
      const line = await this.#usageLine(tx, { from, heldMs: heldMs ?? 3_600_000n, evidence, revision });
      const settlement = { reference: this.order, supplierId: this.supplier.tenantId, costMicroUsd, usdPerIo };
      const [posted] = await settle(tx, fees, [{ ...settlement, key: `line ${line}`, memo: 'usage', actor: 'test' }]);
      await this.#charge(tx, line, posted?.id ?? null, costMicroUsd, '');
      return posted?.id ?? 0;
    });
  }

  async useFree(from: string, reason: string): Promise<void> {
    await this.ground.database.transaction(async tx =>
      this.#charge(tx, await this.#usageLine(tx, { from, heldMs: 3_600_000n, revision: 0 }), null, 0n, reason),
    );
  }

  /** A line that takes back what a window was billed, as billing corrects it: out of the network, into the hold. */
  async correct({ from, at, costMicroUsd = 0n, revision = 1 }: Use & { at: string }, units: bigint): Promise<number> {
    await this.clock(at);
    return this.ground.database.transaction(async tx => {
      const line = await this.#usageLine(tx, { from, heldMs: 0n, revision });
      const account = escrow(this.renter.tenantId, this.asset, this.order);
      const entries = moved(ofNetwork('fees', this.asset), account, units);
      const draft = { kind: 'correction' as const, asked: [], memo: 'worked less', detail: {}, actor: 'test', entries };
      const [posted] = await post(tx, [{ ...draft, key: `correction ${line} ${nameOf(account)}` }]);
      await this.#charge(tx, line, posted?.id ?? null, costMicroUsd, '');
      return posted?.id ?? 0;
    });
  }

  async reverse(id: number, at: string): Promise<number> {
    await this.clock(at);
    return this.ground.database.transaction(async tx => (await reverse(tx, id, 'a mistake', 'test')).id);
  }

  async #usageLine(
    tx: Transaction,
    {
      from,
      heldMs,
      evidence,
      revision,
    }: { from: string; heldMs: bigint; evidence?: object | undefined; revision: number },
  ): Promise<number> {
    const { rows } = await tx.query<{ id: number }>(
      `INSERT INTO usage_lines (lease_id, window_start, window_seconds, revision, billable_ms, allocated_ms,
         device_billable_ms, device_allocated_ms, cpu_ms, mib_seconds, egress_bytes, evidence)
       VALUES ($1, $2, 3600, $3, $4, $4, $5, $5, 0, 0, 0, $6) RETURNING id`,
      [this.lease, from, revision, String(heldMs), String(2n * heldMs), JSON.stringify(evidence ?? {})],
    );
    return rows[0]?.id ?? 0;
  }

  async #charge(tx: Transaction, line: number, id: number | null, cost: bigint, reason: string): Promise<void> {
    await tx.query(
      `INSERT INTO usage_charges (usage_line_id, transaction_id, cost_micro_usd, micro_usd_per_hour, usd_per_io, reason,
         asset, fees_ppm) VALUES ($1, $2, $3, 2000000, $4, $5, $6, '20000/0/2500/2500')`,
      [line, id, String(cost), id === null ? null : '37/20', reason, this.asset],
    );
    await tx.query('DELETE FROM charges_due WHERE usage_line_id = $1', [line]);
  }

  closing(at: string): ClosingWiring {
    const { database } = this.ground;
    return {
      database,
      ports: invoicePorts,
      issuer,
      delayMs: 48 * 3_600_000,
      random: randomBytes,
      now: async () => new Date(at),
    };
  }

  /** Closes all that is due then. How many months. */
  async close(at: string): Promise<number> {
    await this.clock(at);
    let months = 0;
    while (await closeNextMonth(this.closing(at), () => false)) months += 1;
    return months;
  }

  get = (key: TestKey, path: string) => callWith(key, 'GET', `${this.base}/v1${path}`);

  /** What the ledger's postings come to for the renter and the supplier, since they were made. */
  async posted(): Promise<{ paid: bigint; earned: bigint }> {
    const { rows } = await this.ground.database.query<{ kind: string; sum: string }>(
      `SELECT a.kind, sum(p.amount)::text AS sum FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
       JOIN ledger_transactions t ON t.id = p.transaction_id
       WHERE a.tenant_id = ANY ($1) AND t.kind NOT IN ('credit', 'hold', 'release') GROUP BY a.kind`,
      [[this.renter.tenantId, this.supplier.tenantId]],
    );
    const of = (...kinds: string[]) =>
      rows.filter(({ kind }) => kinds.includes(kind)).reduce((all, { sum }) => all + BigInt(sum), 0n);
    return { paid: -of('available', 'escrow'), earned: of('earnings') };
  }
}
