import { type Database, gauge, type Logger, Recurring, type StateSource, setAll } from '../platform/index.js';

const differences = gauge('iocloud_check_differences', 'What the last run of the checker found', ['check']);
const lastRun = gauge('iocloud_check_last_run_timestamp_seconds', 'When the checker last ended', ['check']);
const lastClean = gauge('iocloud_check_last_clean_timestamp_seconds', 'When it last found nothing', ['check']);

/** How many differences it finds; it reads only. */
export type Checker = () => Promise<number>;

interface Wiring {
  database: Database;
  checkers: Readonly<Record<string, Checker>>;
  everyMinutes: number;
  log: Logger;
}

const checkLock = 7_265_140;
const lookIntervalMs = 10_000;

/** One checker that fails keeps no other from its turn, and counts neither as run nor as clean. */
export const checkSweep = ({ database, checkers, everyMinutes, log }: Wiring): Recurring =>
  new Recurring(
    'checks',
    lookIntervalMs,
    async isStopped => {
      if ((await dueOf(database, Object.keys(checkers), everyMinutes)).length === 0) return;
      const faults: unknown[] = [];
      await database.alone(checkLock, async () => {
        // Another replica may have been at it meanwhile.
        for (const name of await dueOf(database, Object.keys(checkers), everyMinutes)) {
          const check = checkers[name];
          if (isStopped() || !check) return;
          try {
            await note(database, name, await check(), log);
          } catch (error) {
            faults.push(error);
          }
        }
      });
      if (faults.length > 0) throw faults[0];
    },
    error => log.warn({ err: error }, 'the books could not be checked; again soon'),
  );

async function dueOf(database: Database, names: readonly string[], everyMinutes: number): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>(
    'SELECT name FROM checks WHERE ran_at > now() - make_interval(secs => $1)',
    [everyMinutes * 60],
  );
  const fresh = new Set(rows.map(row => row.name));
  return names.filter(name => !fresh.has(name));
}

async function note(database: Database, name: string, found: number, log: Logger): Promise<void> {
  if (found > 0) log.error({ check: name, differences: found }, 'a checker of the books has found differences');
  await database.query(
    `INSERT INTO checks (name, ran_at, clean_at, differences) VALUES ($1, now(), CASE WHEN $2 = 0 THEN now() END, $2)
     ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at, differences = excluded.differences,
       clean_at = coalesce(excluded.clean_at, checks.clean_at)`,
    [name, found],
  );
}

/** A check that has never run shows nothing: alerts are on its absence, not on a 0 that nobody found. */
export const checkState: StateSource = {
  name: 'checks',
  read: async db => {
    const { rows } = await db.query<{ check: string; differences: number; ran: number; clean: number | null }>(
      `SELECT name AS check, differences, extract(epoch FROM ran_at)::float8 AS ran,
         extract(epoch FROM clean_at)::float8 AS clean FROM checks`,
    );
    const values = (of: (row: (typeof rows)[number]) => number) =>
      rows.map(row => ({ labels: { check: row.check }, value: of(row) }));
    setAll(
      differences,
      values(row => row.differences),
    );
    setAll(
      lastRun,
      values(row => row.ran),
    );
    setAll(
      lastClean,
      values(row => row.clean ?? 0),
    );
  },
};
