/** The ledger over HTTP: a tenant reads what is its own, an operator reads all and posts. */
import {
  type Asset,
  api,
  type Hold,
  type LedgerCheck,
  type LedgerTransaction,
  parseUnits,
  type TenantId,
} from '@iocloud/contracts';
import { type Fees, parseRatio } from '../core/billing/index.js';
import { recordEvents } from '../events/index.js';
import {
  type Call,
  type Caller,
  type Database,
  Failure,
  type Http,
  type Queryable,
  type Transaction,
} from '../platform/index.js';
import { checkLedger, trialBalance } from './check.js';
import { credit, reverse } from './credits.js';
import { closeHold, holdInWords, openHold, readHolds, settlementBatches } from './holds.js';
import { getTransaction, listAccounts, listTransactions } from './statement.js';

export interface LedgerPorts {
  database: Database;
  fees: Fees;
  /** Throws Failure 'not-found'. */
  demandTenant(db: Queryable, tenantId: TenantId): Promise<unknown>;
  /** What else the checker looks at: whether usage and postings agree. */
  checkUsage?(db: Queryable): Promise<LedgerCheck['differences']>;
}

export function ledgerRoutes(http: Http, ports: LedgerPorts): void {
  readingRoutes(http, ports);
  creditRoutes(http, ports);
  holdRoutes(http, ports);
}

/** Null: all. Only operators look beyond their own tenant. */
function readable(caller: Caller, wanted: { tenantId?: TenantId | undefined; all: boolean }): TenantId | null {
  if (!wanted.all && (wanted.tenantId === undefined || wanted.tenantId === caller.tenantId)) return caller.tenantId;
  if (!caller.permissions.has('ledger:read')) {
    throw new Failure(
      'permission-denied',
      'the ledger of others takes the permission ledger:read, which your key lacks',
    );
  }
  if (wanted.all && wanted.tenantId !== undefined) throw new Failure('bad-request', 'query: either tenantId or all');
  return wanted.tenantId ?? null;
}

const ownOrAll = (caller: Caller) => (caller.permissions.has('ledger:read') ? null : caller.tenantId);

function readingRoutes(http: Http, { database, checkUsage }: LedgerPorts): void {
  http.handle(api.listLedgerAccounts, async ({ caller, query }) => {
    const items = await listAccounts(database, readable(caller, query), query);
    return { items, next: items.length === query.limit ? String(items.at(-1)?.id) : null };
  });

  http.handle(api.listLedgerTransactions, async ({ caller, query }) => {
    const items = await listTransactions(database, readable(caller, query), query);
    return { items, next: items.length === query.limit ? String(items.at(-1)?.id) : null };
  });

  http.handle(api.getLedgerTransaction, async ({ caller, params }) =>
    getTransaction(database, ownOrAll(caller), params.transactionId),
  );

  http.handle(api.getHold, async ({ caller, params: { reference } }) => {
    const hold = await holdNow(database, reference);
    if (![null, hold.tenantId].includes(ownOrAll(caller))) throw new Failure('not-found', `no hold ${reference}`);
    return hold;
  });

  http.handle(api.trialBalance, async () => trialBalance(database));
  http.handle(api.checkLedger, async () => checkLedger(database, checkUsage));
}

function creditRoutes(http: Http, { database, demandTenant }: LedgerPorts): void {
  http.handle(api.creditTenant, async ({ caller, body, idempotency }) => {
    const { tenantId, asset, amount, reason } = body;
    const key = `${caller.tenantId}:${demandKey(idempotency)}`;
    return database.transaction(async tx => {
      await demandTenant(tx, tenantId);
      const units = unitsOf(amount, asset);
      const { id, isNew } = await credit(tx, { key, tenantId, asset, amount: units, reason, actor: caller.userId });
      const message = `${caller.userId} credited ${tenantId}: ${reason} (transaction ${id})`;
      if (isNew) await tell(tx, caller, [tenantId], tenantId, 'LedgerCredited', message);
      return getTransaction(tx, null, id);
    });
  });

  http.handle(api.reverseTransaction, async ({ caller, params, body }) =>
    database.transaction(async tx => {
      const { id, isNew } = await reverse(tx, params.transactionId, body.reason, caller.userId);
      const made = await getTransaction(tx, null, id);
      const message = `${caller.userId} took back transaction ${params.transactionId}: ${body.reason} (transaction ${id})`;
      if (isNew) await tell(tx, caller, tenantsOf(made), caller.tenantId, 'LedgerReversed', message);
      return made;
    }),
  );
}

function holdRoutes(http: Http, { database, fees, demandTenant }: LedgerPorts): void {
  const settlements = settlementBatches(database, fees);

  http.handle(api.openHold, async ({ caller, body }) =>
    database.transaction(async tx => {
      const { reference, tenantId, asset, amount, memo } = body;
      await demandTenant(tx, tenantId);
      const terms = { reference, tenantId, asset, amount: unitsOf(amount, asset), memo, actor: caller.userId };
      const { isNew } = await openHold(tx, terms);
      const message = `money was set aside for ${reference}: ${memo}`;
      if (isNew) await tell(tx, caller, [tenantId], tenantId, 'HoldOpened', message);
      return holdNow(tx, reference);
    }),
  );

  http.handle(api.settleHold, async ({ caller, params, body, idempotency }) => {
    const key = demandKey(idempotency);
    await demandTenant(database, body.supplierId);
    const { id } = await settlements.add({
      reference: params.reference,
      key,
      supplierId: body.supplierId,
      costMicroUsd: unitsOf(body.costUsd, 'USD'),
      usdPerIo: parseRatio(body.usdPerIo),
      memo: body.memo,
      actor: caller.userId,
    });
    return getTransaction(database, null, id);
  });

  http.handle(api.closeHold, async ({ caller, params: { reference } }) =>
    database.transaction(async tx => {
      const given = await closeHold(tx, reference, caller.userId);
      const hold = await holdNow(tx, reference);
      const message = `the hold for ${reference} was closed, and its rest went back`;
      if (given !== null) await tell(tx, caller, [hold.tenantId], hold.tenantId, 'HoldClosed', message);
      return hold;
    }),
  );
}

/** Throws Failure 'not-found'. */
async function holdNow(db: Queryable, reference: string): Promise<Hold> {
  const hold = (await readHolds(db, [reference])).get(reference);
  if (!hold) throw new Failure('not-found', `no hold ${reference}`);
  return holdInWords(hold);
}

/** The contract has let through only what can be read. */
function unitsOf(amount: string, asset: Asset): bigint {
  const units = parseUnits(amount, asset);
  if (units === null) throw new RangeError(`${amount} is no amount of ${asset}`);
  return units;
}

function demandKey(idempotency: Call<never>['idempotency']): string {
  if (idempotency) return idempotency.key;
  throw new Failure(
    'bad-request',
    'this call moves money: send an Idempotency-Key, and the same one when repeating it',
  );
}

const tenantsOf = ({ entries }: LedgerTransaction) =>
  entries.flatMap(({ tenantId }) => (tenantId === null ? [] : [tenantId]));

/** In the history of whose money it is, and of who moved it. Without amounts: who may read events need not see money. */
async function tell(
  tx: Transaction,
  caller: Caller,
  tenantIds: readonly TenantId[],
  subject: TenantId,
  reason: string,
  message: string,
): Promise<void> {
  const readers = [...new Set([...tenantIds, caller.tenantId])];
  await recordEvents(
    tx,
    readers.map(tenantId => ({ tenantId, subjectKind: 'account', subject, reason, message })),
  );
}
