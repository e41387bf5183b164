/**
 * An hour of the schedule: found, split, posted and put on record in one transaction, so that it happens once and may be
 * killed anywhere. Hours that nobody was there for are made up for in their order, from what is on record of them.
 */
import { unitsInWords } from '@iocloud/contracts';
import { emissionEntries, type TenantAmount } from '../core/billing/index.js';
import { type EmissionTerms, type Split, splitHour } from '../core/token/index.js';
import { postTokens, type TokenPosting } from '../ledger/index.js';
import { type Queryable, type Transaction, takeLock } from '../platform/index.js';
import { insertHour, lastHour } from './hours.js';
import { machinesOf } from './machines.js';
import { versionAt } from './versions.js';
import { hourMs, rulesActor, type TokenWiring, timeOf } from './wiring.js';

/** Any constant will do, as long as every replica takes the same. */
const emissionLock = 7_265_120;
/** After its end, so that the verdicts on its last proofs are in. */
export const settleMs = 10 * 60_000;
/** A transaction of the ledger has at most 32,767 lines. */
const mostTenants = 5_000;

export const beginOf = (genesis: Date, hour: number): Date => new Date(genesis.getTime() + (hour - 1) * hourMs);

/** Emits the next hour of the schedule. False: it is not over yet, or another replica is at it. */
export async function emitNextHour(wiring: TokenWiring): Promise<boolean> {
  const { database, genesis, schedule } = wiring;
  if (genesis === null) return false;
  return database.transaction(async tx => {
    if (!(await takeLock(tx, emissionLock))) return false;
    const hour = (await lastHour(tx)) + 1;
    const from = beginOf(genesis, hour);
    const until = beginOf(genesis, hour + 1);
    const now = await timeOf(wiring, tx);
    if (hour > schedule.hours || now.getTime() < until.getTime() + settleMs) return false;
    await keepGenesis(tx, genesis, schedule.terms);
    const { version, parameters } = await versionAt(tx, from);
    const split = splitHour(schedule.amount(hour), await machinesOf(tx, wiring, from, until), parameters);
    if (split.minted > 0n) await postTokens(tx, postingsOf(hour, split), 'an emission is covered by nothing');
    await insertHour(tx, { hour, version, scheduled: schedule.amount(hour), split });
    return true;
  });
}

/** One for so many tenants each; what rounding leaves over is in the first. */
function postingsOf(hour: number, { rewards, rounding, minted }: Split): TokenPosting[] {
  const sums = new Map<TenantAmount['tenantId'], bigint>();
  for (const { tenantId, amount } of rewards) sums.set(tenantId, (sums.get(tenantId) ?? 0n) + amount);
  const all = [...sums].map(([tenantId, amount]) => ({ tenantId, amount }));
  const parts = Math.max(1, Math.ceil(all.length / mostTenants));
  return Array.from({ length: parts }, (_, part) => ({
    key: `${hour}:${part + 1}`,
    kind: 'emission',
    memo: `rewards of hour ${hour}`,
    detail: { hour: String(hour), minted: unitsInWords(minted, 'IO') },
    actor: rulesActor,
    entries: emissionEntries(all.slice(part * mostTenants, (part + 1) * mostTenants), part === 0 ? rounding : 0n),
  }));
}

interface GenesisRow {
  at: Date;
  initial_supply: string;
  cap: string;
  first_year_ppm: string;
  monthly_decline_ppm: string;
  hours: number;
}

/** Throws where hours were emitted by another schedule: they would be numbered, or counted, differently. */
export async function demandGenesis(db: Queryable, genesis: Date, terms: EmissionTerms): Promise<boolean> {
  const { rows } = await db.query<GenesisRow>(
    `SELECT at, initial_supply::text, cap::text, first_year_ppm::text, monthly_decline_ppm::text, hours FROM token_genesis`,
  );
  const kept = rows[0];
  if (!kept) return false;
  const before = [kept.at.toISOString(), kept.initial_supply, kept.cap, kept.first_year_ppm, kept.monthly_decline_ppm];
  const { initialSupply, cap, firstYearPpm, monthlyDeclinePpm, hours } = terms;
  const now = [genesis.toISOString(), ...[initialSupply, cap, firstYearPpm, monthlyDeclinePpm].map(String)];
  if (before.join() === now.join() && kept.hours === hours) return true;
  throw new Error(
    `IOCLOUD_TOKEN_FILE: emission began ${kept.at.toISOString()} by another schedule, which is never changed (docs/token.md)`,
  );
}

async function keepGenesis(tx: Transaction, genesis: Date, terms: EmissionTerms): Promise<void> {
  if (await demandGenesis(tx, genesis, terms)) return;
  await tx.query(
    `INSERT INTO token_genesis (at, initial_supply, cap, first_year_ppm, monthly_decline_ppm, hours)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [
      genesis,
      ...[terms.initialSupply, terms.cap, terms.firstYearPpm, terms.monthlyDeclinePpm].map(String),
      terms.hours,
    ],
  );
}
