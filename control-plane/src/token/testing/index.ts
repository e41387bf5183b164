/** For this domain's tests: its routes and sweeps on a real database, with a clock that the test sets. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type Device, type NodeId, newId, type TenantId, type TokenParameterChanges } from '@iocloud/contracts';
import { authenticator, getTenant } from '../../accounts/index.js';
import { changedParameters, defaultParameters, EmissionSchedule, publishedEmission } from '../../core/token/index.js';
import { stakedMachines } from '../../inventory/index.js';
import { checkLedger } from '../../ledger/check.js';
import { ledgerRoutes } from '../../ledger/index.js';
import { listAccounts } from '../../ledger/statement.js';
import { Database, Http, Signer, type Transaction } from '../../platform/index.js';
import { callWith, type Ground, newTenantKey, startGround, type TestKey } from '../../test-ground.js';
import { tokenProofs } from '../../verification/index.js';
import { beginOf } from '../emission.js';
import { tokenRoutes } from '../routes.js';
import { sweepOnce } from '../sweep.js';
import { applyParameters } from '../versions.js';
import { hourMs, type TokenWiring } from '../wiring.js';

const fees = { paymentPpm: 20_000n, paymentInIoPpm: 0n, reservationRenterPpm: 2_500n, reservationSupplierPpm: 2_500n };
const schedule = new EmissionSchedule(publishedEmission);

/** What a process that dies here leaves behind: `before` what it was about to commit, or `after` it. */
export class CrashingDatabase extends Database {
  #left = 0;
  #where: 'before' | 'after' = 'after';
  commits = 0;

  /** The next transaction that changes anything ends so. */
  crashNext(where: 'before' | 'after'): void {
    this.#left = 1;
    this.#where = where;
  }

  override async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    let isDue = false;
    const result = await super.transaction(async tx => {
      const made = await work(tx);
      const { rows } = await tx.query<{ wrote: boolean }>(
        'SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS wrote',
      );
      const wrote = rows[0]?.wrote ?? false;
      if (wrote) this.commits += 1;
      isDue = wrote && this.#left > 0;
      if (isDue) this.#left = 0;
      if (isDue && this.#where === 'before') throw new Error('crashed before the commit');
      return made;
    });
    if (isDue) throw new Error('crashed after the commit');
    return result;
  }
}

export class TokenTrial {
  /** What the domain takes for now. */
  at = new Date();
  /** USD for an IO, 10⁻¹⁸; null: none. */
  rate: bigint | null = 151_000_000_000_000_000n;
  readonly genesis = new Date(Math.floor(Date.now() / hourMs) * hourMs + 2 * hourMs);
  readonly wiring: TokenWiring;

  private constructor(
    readonly ground: Ground,
    readonly database: CrashingDatabase,
    readonly http: Http,
    readonly operator: TestKey,
  ) {
    this.wiring = {
      database,
      log: ground.log,
      random: randomBytes,
      genesis: this.genesis,
      schedule,
      machines: stakedMachines,
      proofs: tokenProofs,
      rate: async () => (this.rate === null ? null : { usdPerIo: '0.151', attoUsdPerIo: this.rate }),
      demandTenant: getTenant,
      now: async () => this.at,
    };
    ledgerRoutes(http, { database, fees, demandTenant: getTenant });
    tokenRoutes(http, this.wiring);
  }

  static async start(changes: TokenParameterChanges = {}): Promise<TokenTrial> {
    const ground = await startGround();
    const database = new CrashingDatabase(ground.postgres.url, ground.log);
    const http = new Http(authenticator(database, new Signer('a secret of this test')), ground.log);
    const trial = new TokenTrial(ground, database, http, await newTenantKey(ground.database, { role: 'operator' }));
    const parameters = changedParameters(defaultParameters, changes);
    await ground.database.transaction(tx => applyParameters(tx, stakedMachines, parameters));
    await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
    return trial;
  }

  async stop(): Promise<void> {
    this.http.server.closeAllConnections();
    this.http.server.close();
    await this.database.close();
    await this.ground.stop();
  }

  async call(key: TestKey, method: string, path: string, body?: unknown, idempotencyKey?: string) {
    const headers: Record<string, string> = idempotencyKey === undefined ? {} : { 'Idempotency-Key': idempotencyKey };
    const base = `http://127.0.0.1:${(this.http.server.address() as AddressInfo).port}/v1`;
    const answer = await callWith(key, method, base + path, body, headers);
    // Of an answer that is kept for its key the text may come in another order.
    return { status: answer.status, body: answer.body };
  }

  /** With so much IO to spend. */
  async tenant(io?: string): Promise<TestKey> {
    const key = await newTenantKey(this.ground.database);
    if (io !== undefined) await this.credit(key, io);
    return key;
  }

  credit({ tenantId }: TestKey, amount: string, asset = 'IO') {
    return this.call(
      this.operator,
      'POST',
      '/ledger/credits',
      { tenantId, asset, amount, reason: 'a start' },
      newKey(),
    );
  }

  stake(key: TestKey, nodeId: NodeId, amount: string, idempotencyKey = newKey()) {
    return this.call(key, 'POST', '/token/stakes', { nodeId, amount }, idempotencyKey);
  }

  unstake(key: TestKey, nodeId: NodeId, amount: string, idempotencyKey = newKey()) {
    return this.call(key, 'POST', '/token/unstakings', { nodeId, amount }, idempotencyKey);
  }

  slash(nodeId: NodeId, amount: string, idempotencyKey = newKey()) {
    const body = { nodeId, amount, reason: 'samples were made up', evidence: 'incident 7' };
    return this.call(this.operator, 'POST', '/token/slashes', body, idempotencyKey);
  }

  /** A shared machine that is online until the end of time, with so many accelerators of these models. */
  async machine(tenantId: TenantId, models: readonly ('h100' | 'a100')[]): Promise<NodeId> {
    const id = newId('node', randomBytes);
    const names = { h100: 'NVIDIA H100 80GB HBM3', a100: 'NVIDIA A100-SXM4-80GB' };
    const devices = models.map(
      (model, index): Device => ({
        index,
        uuid: `GPU-${index}`,
        vendor: 'nvidia',
        model: names[model],
        memoryBytes: 80 * 2 ** 30,
        simulated: false,
      }),
    );
    await this.ground.database.query(
      `INSERT INTO nodes (id, tenant_id, name, public_key, shared, inventory, online, last_heartbeat_at)
       VALUES ($1, $2, $1, $1, true, $3, true, now())`,
      [id, tenantId, JSON.stringify({ hostname: 'trial', cpus: 8, memoryBytes: 2 ** 35, devices, rayVersions: [] })],
    );
    await this.ground.database.query(`INSERT INTO node_heartbeats (node_id, at) VALUES ($1, '2100-01-01')`, [id]);
    return id;
  }

  /** The verdict on each of its accelerators, or on those named, in this hour of the schedule. */
  async judged(nodeId: NodeId, hour: number, verdict = 'passed', uuids?: string[]): Promise<void> {
    await this.ground.database.query(
      `INSERT INTO verifications (id, node_id, tenant_id, device_index, device_uuid, device_model, hour, due_at, state,
         verdict, reason, judged_at)
       SELECT gen_random_uuid()::text, n.id, n.tenant_id, (d->>'index')::int, d->>'uuid', d->>'model', $2, $2, 'judged', $3,
         'too slow', $2 FROM nodes n, jsonb_array_elements(n.inventory->'devices') d
       WHERE n.id = $1 AND ($4::text[] IS NULL OR d->>'uuid' = ANY ($4))`,
      [nodeId, this.hour(hour), verdict, uuids ?? null],
    );
  }

  hour(hour: number): Date {
    return beginOf(this.genesis, hour);
  }

  /** As if it were so long after the end of this hour. */
  async sweepAfterHour(hour: number, ms = 10 * 60_000): Promise<void> {
    this.at = new Date(this.hour(hour + 1).getTime() + ms);
    await this.sweep();
  }

  sweep(): Promise<void> {
    return sweepOnce(this.wiring, () => false);
  }

  later(hours: number): void {
    this.at = new Date(this.at.getTime() + hours * hourMs);
  }

  /** All accounts of a tenant, or of everybody. */
  async #accounts(tenantId: TenantId | null) {
    const all = await listAccounts(this.ground.database, tenantId, { limit: 1_000_000, closed: true });
    return all.map(account => ({ ...account, units: BigInt(account.balance.replace('.', '')) }));
  }

  /** By sort and asset in smallest units, without those at zero. */
  async balances({ tenantId }: { tenantId: TenantId | null }): Promise<Record<string, string>> {
    const held = (await this.#accounts(tenantId)).filter(
      account => account.tenantId === tenantId && account.units !== 0n,
    );
    return Object.fromEntries(held.map(({ kind, asset, units }) => [`${kind} ${asset}`, String(units)]));
  }

  /** What does not agree: the ledger with itself, its accounts of stake with the rows that say whose it is, hours with rewards. */
  async faults(): Promise<unknown[]> {
    const { differences } = await checkLedger(this.ground.database);
    const { rows } = await this.ground.database.query<{ name: string; amount: string }>(
      `SELECT kind || ' ' || tenant_id AS name, sum(amount)::text AS amount FROM (
         SELECT 'stake' AS kind, staker_id AS tenant_id, amount FROM token_stakes
         UNION ALL SELECT 'unstaking', staker_id, amount FROM token_unstakings WHERE state = 'cooling'
         UNION ALL SELECT 'slashed', p.staker_id, p.amount FROM token_slash_parts p
           JOIN token_slashes s ON s.id = p.slash_id WHERE s.state NOT IN ('returned', 'burned')) staked
       GROUP BY kind, tenant_id HAVING sum(amount) <> 0 ORDER BY 1`,
    );
    const accounts = (await this.#accounts(null))
      .filter(({ kind, units }) => ['stake', 'unstaking', 'slashed'].includes(kind) && units !== 0n)
      .map(({ kind, tenantId, units }) => ({ name: `${kind} ${tenantId}`, amount: String(units) }));
    const inRows = new Set(rows.map(({ name, amount }) => `${name} ${amount}`));
    const inAccounts = new Set(accounts.map(({ name, amount }) => `${name} ${amount}`));
    const apart = [...inRows, ...inAccounts].filter(each => !(inRows.has(each) && inAccounts.has(each)));
    const { rows: hours } = await this.ground.database.query(
      `SELECT h.hour FROM token_hours h WHERE minted <> rounding +
         coalesce((SELECT sum(amount) FROM token_rewards r WHERE r.hour = h.hour), 0)`,
    );
    return [...differences, ...apart, ...hours];
  }
}

let keys = 0;
export const newKey = (): string => `key ${++keys}`;
export { insertFleet, insertProofs } from './fleet.js';
