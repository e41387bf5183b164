/** What this domain is made of, and its clock. */
import type { TenantId } from '@iocloud/contracts';
import type { EmissionSchedule } from '../core/token/index.js';
import type { Database, Logger, Queryable } from '../platform/index.js';
import type { TokenMachines, TokenProofs, UsableRate } from './ports.js';

export interface TokenWiring {
  database: Database;
  log: Logger;
  random: (n: number) => Uint8Array;
  /** When hour 1 begins; null: nothing is emitted. */
  genesis: Date | null;
  schedule: EmissionSchedule;
  machines: TokenMachines;
  proofs: TokenProofs;
  /** Null: there is none that may be counted with. */
  rate(db: Queryable): Promise<UsableRate | null>;
  /** Throws Failure 'not-found'. */
  demandTenant(db: Queryable, tenantId: TenantId): Promise<unknown>;
  /** The database's clock, which all replicas share; comes in for tests. */
  now?: (db: Queryable) => Promise<Date>;
}

/** Who posts what nobody has asked for. */
export const rulesActor = 'token-rules';
export const hourMs = 3_600_000;

export async function timeOf({ now }: Pick<TokenWiring, 'now'>, db: Queryable): Promise<Date> {
  if (now) return now(db);
  const { rows } = await db.query<{ now: Date }>('SELECT now() AS now');
  if (!rows[0]) throw new Error('the database tells no time');
  return rows[0].now;
}
