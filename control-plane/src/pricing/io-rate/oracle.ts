/** The rate of IO: asks all sources each minute, one replica at a time, and keeps the last that they agreed on. */
import type { IoRate } from '@iocloud/contracts';
import { agreement, type Guards, rateInWords, readRate } from '../../core/pricing/index.js';
import { type Database, type Logger, type Queryable, Recurring, takeLock } from '../../platform/index.js';
import type { Source } from './sources.js';

/** Any constant will do, as long as every replica takes the same. */
const oracleLock = 7_265_087;
const lookIntervalMs = 5_000;
const askEachMs = 60_000;

export interface Oracle {
  sources: readonly Source[];
  guards: Guards;
  nowMs(): number;
}

interface Row {
  good: { usdPerIo: string; at: string } | null;
  looked_at: Date;
  refusal: string | null;
  sources: IoRate['sources'];
}

/** Asks every source. False: another replica is at it. */
export async function look(database: Database, { sources, guards, nowMs }: Oracle): Promise<boolean> {
  return database.transaction(async tx => {
    if (!(await takeLock(tx, oracleLock))) return false;
    const answers = await Promise.all(
      sources.map(async source => {
        const reading = await source.read().catch((error: Error) => error.message);
        return { name: source.name, reading };
      }),
    );
    const now = nowMs();
    const readings = answers.flatMap(({ reading }) => (typeof reading === 'string' ? [] : reading));
    const { rate, atMs, refusal, verdicts } = agreement(readings, now, guards);
    const told: IoRate['sources'] = answers.map(({ name, reading }) =>
      typeof reading === 'string'
        ? { name, verdict: 'failed', reason: reading, usdPerIo: null, at: null }
        : {
            name,
            verdict: verdicts.get(name) ?? 'failed',
            reason: null,
            usdPerIo: rateInWords(reading.rate),
            at: new Date(reading.atMs).toISOString(),
          },
    );
    const good =
      rate === null || atMs === null ? null : { usdPerIo: rateInWords(rate), at: new Date(atMs).toISOString() };
    await tx.query(
      `INSERT INTO io_rate (good, looked_at, refusal, sources) VALUES ($1, $2, $3, $4)
       ON CONFLICT (one) DO UPDATE SET good = coalesce(excluded.good, io_rate.good), looked_at = excluded.looked_at,
         refusal = excluded.refusal, sources = excluded.sources`,
      [good && JSON.stringify(good), new Date(now), refusal, JSON.stringify(told)],
    );
    return true;
  });
}

export async function ioRate(db: Queryable, { guards, nowMs }: Pick<Oracle, 'guards' | 'nowMs'>): Promise<IoRate> {
  const { rows } = await db.query<Row>('SELECT good, looked_at, refusal, sources FROM io_rate');
  const row = rows[0];
  if (!row) {
    return {
      usdPerIo: null,
      at: null,
      ageSeconds: null,
      usable: false,
      refusal: 'no source has been asked yet',
      lookedAt: null,
      sources: [],
    };
  }
  const { good, looked_at: lookedAt, refusal, sources } = row;
  const ageMs = good === null ? null : Math.max(0, nowMs() - Date.parse(good.at));
  const usable = ageMs !== null && ageMs <= guards.maxAgeMs;
  return {
    usdPerIo: good?.usdPerIo ?? null,
    at: good?.at ?? null,
    ageSeconds: ageMs === null ? null : Math.floor(ageMs / 1_000),
    usable,
    refusal: refusal ?? (usable ? null : 'what the sources last agreed on is too old'),
    lookedAt: lookedAt.toISOString(),
    sources,
  };
}

/** Of what may be counted with; null: it is not known, or too old. */
export const usableRate = ({ usdPerIo, usable }: IoRate): bigint | null =>
  usable && usdPerIo !== null ? readRate(usdPerIo) : null;

export const oracleSweep = (database: Database, oracle: Oracle, log: Logger): Recurring =>
  new Recurring(
    'io-rate',
    lookIntervalMs,
    async () => {
      // A replica that finds another at it, or one that has just been, has nothing to do.
      const { rows } = await database.query('SELECT 1 FROM io_rate WHERE looked_at > $1', [
        new Date(oracle.nowMs() - askEachMs),
      ]);
      if (rows.length === 0) await look(database, oracle);
    },
    error => log.warn({ err: error }, 'the rate of IO could not be looked up; again soon'),
  );
