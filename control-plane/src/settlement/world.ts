/** What every part of settlement works with. */
import type { Asset, TenantId } from '@iocloud/contracts';
import { type EventRecord, recordEvents } from '../events/index.js';
import type { Database, Logger, Queryable, Transaction } from '../platform/index.js';
import type { Chain } from './chain/rpc.js';
import type { Signer } from './signer.js';
import type { SettledAsset, Terms } from './terms.js';

export interface World {
  database: Database;
  chain: Chain;
  signer: Signer;
  terms: Terms;
  feePayer: string;
  treasury: string;
  log: Logger;
  random(n: number): Uint8Array;
  /** Those who are told when something is wrong. */
  operators(db: Queryable): Promise<TenantId[]>;
}

/** Any constants will do, as long as every replica takes the same. */
export const settlementLock = 7_265_115;

export const decimals: Record<SettledAsset, number> = { IO: 8, USDC: 6 };

export function mintOf({ terms }: Pick<World, 'terms'>, asset: Asset): { mint: string; decimals: number } {
  const mint = terms.mints.get(asset as SettledAsset);
  if (mint === undefined) throw new RangeError(`${asset} is not settled`);
  return { mint, decimals: decimals[asset as SettledAsset] };
}

export async function tellOperators(
  world: Pick<World, 'operators'>,
  tx: Transaction,
  event: Pick<EventRecord, 'reason' | 'message' | 'severity'>,
): Promise<void> {
  const all = await world.operators(tx);
  await recordEvents(
    tx,
    all.map(tenantId => ({ tenantId, subjectKind: 'account', subject: tenantId, ...event })),
  );
}

export const tell = (
  tx: Transaction,
  tenantId: TenantId,
  reason: string,
  message: string,
  severity: EventRecord['severity'] = 'info',
): Promise<void> =>
  recordEvents(tx, [{ tenantId, subjectKind: 'account', subject: tenantId, reason, message, severity }]);
