/** Settlement over HTTP. Where it is not configured, every route says so, and nothing else of the control plane changes. */
import { api, type Deposit, type Payout as PayoutView, type TenantId, unitsInWords } from '@iocloud/contracts';
import { once } from '../accounts/index.js';
import { type Caller, type Database, Failure, type Http, type Seal } from '../platform/index.js';
import { addAddress, demandWallet, listAddresses, removeAddress } from './payout-addresses.js';
import { cancel, confirm, demandPayout, readSchedule, request, writeSchedule } from './payout-requests.js';
import { listPayouts, type Payout } from './payout-store.js';
import { demandCode, dropSecondFactor, type FactorPorts, makeSecondFactor } from './second-factors.js';
import { acknowledge, notConfigured, readStatus } from './status.js';
import type { SettledAsset } from './terms.js';
import type { World } from './world.js';

export interface SettlementPorts {
  database: Database;
  seal: Seal;
  nowMs(): number;
  random(n: number): Uint8Array;
}

export function settlementRoutes(http: Http, ports: SettlementPorts, world: World | null): void {
  const demandWorld = (): World => {
    if (world) return world;
    throw new Failure('unavailable', 'settlement is not configured here: the operator has set no SOLANA_RPC_URL');
  };
  depositRoutes(http, demandWorld);
  addressRoutes(http, ports, demandWorld);
  payoutRoutes(http, ports, demandWorld);
  scheduleRoutes(http, ports, demandWorld);
  factorRoutes(http, ports, demandWorld);
  operatorRoutes(http, world, demandWorld);
}

type DemandWorld = () => World;

const urlOf = ({ terms }: World, signature: string) => terms.explorerUrl.replace('{signature}', signature);

export function payoutView(
  world: World,
  { amount, requestedAt, changedAt, signature, alone: _, ...rest }: Payout,
): PayoutView {
  return {
    ...rest,
    amount: unitsInWords(amount, rest.asset),
    signature,
    url: signature === null ? null : urlOf(world, signature),
    requestedAt: requestedAt.toISOString(),
    changedAt: changedAt.toISOString(),
  };
}

function depositRoutes(http: Http, demandWorld: DemandWorld): void {
  http.handle(api.getDepositAddress, async ({ caller }) => {
    const { database, signer, terms } = demandWorld();
    const { depositAddress } = await import('./identity.js');
    const address = await database.transaction(tx => depositAddress(tx, signer, terms, caller.tenantId));
    const least = (asset: SettledAsset) => unitsInWords(terms.leastDeposit[asset], asset);
    return { address, mints: [...terms.mints].map(([asset, mint]) => ({ asset, mint, least: least(asset) })) };
  });
  http.handle(api.listDeposits, async ({ caller, query }) => {
    const world = demandWorld();
    const items = await listDeposits(world, caller.tenantId, query);
    const last = items.at(-1);
    return { items, next: items.length === query.limit && last ? last.signature : null };
  });
}

async function listDeposits(
  world: World,
  tenantId: TenantId,
  { limit, after }: { limit: number; after?: string | undefined },
): Promise<Deposit[]> {
  const { rows } = await world.database.query<{
    signature: string;
    asset: SettledAsset | null;
    mint: string;
    amount: string;
    state: Deposit['state'];
    transaction_id: number | null;
    at: Date;
  }>(
    `SELECT signature, asset, mint, amount::text, state, transaction_id, at FROM deposits
     WHERE tenant_id = $1 AND ($2::text IS NULL OR (at, signature) <
       (SELECT at, signature FROM deposits WHERE tenant_id = $1 AND signature = $2 LIMIT 1))
     ORDER BY at DESC, signature DESC, account LIMIT $3`,
    [tenantId, after ?? null, limit],
  );
  return rows.map(({ transaction_id, at, amount, ...row }) => ({
    ...row,
    url: urlOf(world, row.signature),
    amount: row.asset === null ? amount : unitsInWords(BigInt(amount), row.asset),
    transactionId: transaction_id,
    at: at.toISOString(),
  }));
}

function addressRoutes(http: Http, ports: FactorPorts, demandWorld: DemandWorld): void {
  http.handle(api.listPayoutAddresses, async ({ caller }) => ({
    items: await listAddresses(demandWorld().database, caller.tenantId),
    next: null,
  }));
  http.handle(api.addPayoutAddress, async ({ caller, body }) => {
    const world = demandWorld();
    await demandWallet(world, body.address);
    await demandCode(ports, caller, body.code);
    return world.database.transaction(tx => addAddress(world, tx, caller, body));
  });
  http.handle(api.removePayoutAddress, async ({ caller, params, response }) => {
    await demandWorld().database.transaction(tx => removeAddress(tx, caller, params.addressId));
    response.status(204).end();
    return undefined;
  });
}

function payoutRoutes(http: Http, ports: FactorPorts, demandWorld: DemandWorld): void {
  http.handle(api.listPayouts, async ({ caller, query }) => {
    const world = demandWorld();
    if (query.all) demandOperator(caller);
    const items = await listPayouts(world.database, query.all ? null : caller.tenantId, query);
    return {
      items: items.map(item => payoutView(world, item)),
      next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null,
    };
  });
  http.handle(api.getPayout, async ({ caller, params }) => {
    const world = demandWorld();
    const whose = caller.permissions.has('ledger:read') ? null : caller.tenantId;
    return payoutView(world, await demandPayout(world.database, whose, params.payoutId));
  });
  http.handle(api.requestPayout, async ({ caller, body, idempotency }) => {
    const world = demandWorld();
    return world.database.transaction(tx =>
      once(tx, caller, idempotency, async () => payoutView(world, await request(world, tx, caller, body))),
    );
  });
  http.handle(api.confirmPayout, async ({ caller, params, body }) => {
    const world = demandWorld();
    await demandPayout(world.database, caller.tenantId, params.payoutId);
    await demandCode(ports, caller, body.code);
    return payoutView(world, await world.database.transaction(tx => confirm(tx, caller, params.payoutId)));
  });
  http.handle(api.cancelPayout, async ({ caller, params }) => {
    const world = demandWorld();
    return payoutView(world, await world.database.transaction(tx => cancel(tx, caller, params.payoutId)));
  });
}

function demandOperator(caller: Caller): void {
  if (caller.permissions.has('ledger:read')) return;
  throw new Failure('permission-denied', 'pay-outs of others take the permission ledger:read, which your key lacks');
}

function scheduleRoutes(http: Http, ports: FactorPorts, demandWorld: DemandWorld): void {
  http.handle(api.getPayoutSchedule, async ({ caller }) => readSchedule(demandWorld().database, caller.tenantId));
  http.handle(api.setPayoutSchedule, async ({ caller, body }) => {
    const { database } = demandWorld();
    await demandCode(ports, caller, body.code);
    return database.transaction(tx => writeSchedule(tx, caller, body));
  });
  http.handle(api.dropPayoutSchedule, async ({ caller, response }) => {
    await demandWorld().database.query('DELETE FROM payout_schedules WHERE tenant_id = $1', [caller.tenantId]);
    response.status(204).end();
    return undefined;
  });
}

function factorRoutes(http: Http, ports: FactorPorts, demandWorld: DemandWorld): void {
  http.handle(api.makeSecondFactor, async ({ caller, body }) => {
    demandWorld();
    return makeSecondFactor(ports, caller, body.code);
  });
  http.handle(api.proveSecondFactor, async ({ caller, body }) => {
    demandWorld();
    await demandCode(ports, caller, body.code, true);
    return { proven: true };
  });
  http.handle(api.dropSecondFactor, async ({ caller, params, response }) => {
    await demandWorld().database.transaction(tx => dropSecondFactor(tx, params.userId, caller.userId));
    response.status(204).end();
    return undefined;
  });
}

function operatorRoutes(http: Http, world: World | null, demandWorld: DemandWorld): void {
  http.handle(api.settlementStatus, async () => (world ? readStatus(world) : notConfigured));
  http.handle(api.acknowledgeDifference, async ({ caller, params }) => {
    const asked = demandWorld();
    await asked.database.transaction(tx => acknowledge(tx, params.differenceId, caller.userId));
    return readStatus(asked);
  });
}
