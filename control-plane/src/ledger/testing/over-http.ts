/** The ledger behind its routes, with an operator and the tenants of one order: for the integration tests. */
import type { AddressInfo } from 'node:net';
import { authenticator, getTenant } from '../../accounts/index.js';
import { Http, Signer } from '../../platform/index.js';
import { callWith, type Ground, newTenantKey, startGround, type TestKey } from '../../test-ground.js';
import { ledgerRoutes } from '../index.js';

const fees = { paymentPpm: 20_000n, paymentInIoPpm: 0n, reservationRenterPpm: 2_500n, reservationSupplierPpm: 2_500n };

export class LedgerOverHttp {
  renter!: TestKey;
  supplier!: TestKey;
  stranger!: TestKey;
  /** Of the order; each has its own. */
  number = 0;

  private constructor(
    readonly ground: Ground,
    readonly http: Http,
    readonly base: string,
    readonly operator: TestKey,
  ) {}

  static async start(): Promise<LedgerOverHttp> {
    const ground = await startGround();
    const { database, log } = ground;
    const http = new Http(authenticator(database, new Signer('a secret of this test')), log);
    ledgerRoutes(http, { database, fees, demandTenant: getTenant });
    await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
    const base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
    return new LedgerOverHttp(ground, http, base, await newTenantKey(database, { role: 'operator' }));
  }

  async stop(): Promise<void> {
    this.http.server.closeAllConnections();
    this.http.server.close();
    await this.ground.stop();
  }

  /** New tenants, and a new order of theirs. */
  async nextOrder(): Promise<void> {
    this.renter = await newTenantKey(this.ground.database);
    this.supplier = await newTenantKey(this.ground.database);
    this.stranger = await newTenantKey(this.ground.database);
    this.number += 1;
  }

  get order(): string {
    return `order-${this.number}`;
  }

  call(key: TestKey, method: string, path: string, body?: unknown, idempotencyKey?: string) {
    const headers: Record<string, string> = idempotencyKey === undefined ? {} : { 'Idempotency-Key': idempotencyKey };
    return callWith(key, method, `${this.base}/v1/ledger${path}`, body, headers);
  }

  creditBody(amount = '100', asset = 'USDC') {
    return { tenantId: this.renter.tenantId, asset, amount, reason: 'invoice 7' };
  }

  credit(amount = '100', asset = 'USDC', key = `credit ${this.number} ${asset}`) {
    return this.call(this.operator, 'POST', '/credits', this.creditBody(amount, asset), key);
  }

  openHold(amount: string, asset = 'USDC') {
    const terms = { reference: this.order, tenantId: this.renter.tenantId, asset, amount, memo: 'a cluster' };
    return this.call(this.operator, 'POST', '/holds', terms);
  }

  settle(costUsd: string, key: string) {
    const body = { supplierId: this.supplier.tenantId, costUsd, usdPerIo: '1.85', memo: 'hour 1' };
    return this.call(this.operator, 'POST', `/holds/${this.order}/settlements`, body, key);
  }

  closeHold() {
    return this.call(this.operator, 'POST', `/holds/${this.order}/close`);
  }

  reverse(id: number, reason = 'a mistake') {
    return this.call(this.operator, 'POST', `/transactions/${id}/reversal`, { reason });
  }

  async balances(key: TestKey): Promise<Record<string, string>> {
    const { body } = await this.call(key, 'GET', '/accounts');
    return Object.fromEntries(
      body.items.map(({ kind, asset, balance }: Record<string, string>) => [`${kind} ${asset}`, balance]),
    );
  }

  async eventsOf({ tenantId }: TestKey): Promise<{ reason: string; message: string }[]> {
    const { rows } = await this.ground.database.query<{ reason: string; message: string }>(
      'SELECT reason, message FROM events WHERE tenant_id = $1 ORDER BY sequence',
      [tenantId],
    );
    return rows;
  }
}
