/** The ledger on a PostgreSQL of its own, without the rest of the control plane: for the benchmark. */
import { randomBytes } from 'node:crypto';
import { type LedgerCheck, newId, type TenantId } from '@iocloud/contracts';
import type { Fees } from '../../core/billing/index.js';
import { Batcher, createLogger, Database, migrate } from '../../platform/index.js';
import { checkLedger } from '../check.js';
import { credit } from '../credits.js';
import { largestBatch, openHold, type Settlement, settle, settlementBatches } from '../holds.js';

export type { Settlement } from '../holds.js';

const migrations = new URL('../../../migrations/', import.meta.url);

export interface TrialLedger {
  /** As the route does it: with those that come at the same time. */
  settle(settlement: Settlement): Promise<unknown>;
  /** In one database transaction. */
  settleAll(settlements: Settlement[]): Promise<unknown>;
  check(): Promise<LedgerCheck>;
  close(): Promise<void>;
}

/** With so many tenants, each with a large hold in USDC whose reference is `hold-<index>`. */
export async function openTrialLedger(
  url: string,
  connections: number,
  fees: Fees,
  tenants: number,
): Promise<{ ledger: TrialLedger; tenantIds: TenantId[] }> {
  const log = createLogger('error');
  const database = new Database(url, log, connections);
  await migrate(database, migrations, log);
  const tenantIds = Array.from({ length: tenants }, () => newId('tenant', randomBytes));
  await database.query('INSERT INTO tenants (id, name) SELECT id, id FROM unnest($1::text[]) AS t (id)', [tenantIds]);
  const amount = 10n ** 15n;
  for (const [index, tenantId] of tenantIds.entries()) {
    const terms = { tenantId, asset: 'USDC' as const, amount, actor: 'benchmark' };
    await database.transaction(tx => credit(tx, { ...terms, key: `start ${index}`, reason: 'a start' }));
    await database.transaction(tx => openHold(tx, { ...terms, reference: `hold-${index}`, memo: 'an order' }));
  }
  const batches = settlementBatches(database, fees);
  return {
    tenantIds,
    ledger: {
      settle: settlement => batches.add(settlement),
      settleAll: settlements => database.transaction(tx => settle(tx, fees, settlements)),
      check: () => checkLedger(database),
      close: () => database.close(),
    },
  };
}

/** Those that come while others are on their way go together, as the ledger's own do. */
export const inBatches = <T>(work: (items: T[]) => Promise<T[]>): Batcher<T, T> => new Batcher(work, largestBatch);
