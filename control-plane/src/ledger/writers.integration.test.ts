/** Many writers at once, and a PostgreSQL that is killed under them. */
import type { TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Database, Failure } from '../platform/index.js';
import { type Ground, newTenantKey, startGround } from '../test-ground.js';
import { checkLedger, trialBalance } from './check.js';
import { credit, reverse } from './credits.js';
import { closeHold, openHold, readHolds, settle } from './holds.js';

jest.setTimeout(180_000);

const writers = 64;
const fees = { paymentPpm: 20_000n, paymentInIoPpm: 0n, reservationRenterPpm: 2_500n, reservationSupplierPpm: 2_500n };
const usdPerIo = { numerator: 37n, denominator: 20n };
const actor = 'test';

let ground: Ground;
let database: Database;
let tenants: TenantId[];
beforeAll(async () => {
  ground = await startGround();
  // As many connections as writers: they meet in PostgreSQL and not in the pool.
  database = new Database(ground.postgres.url, ground.log, writers);
  tenants = [];
  for (let index = 0; index < 4; index += 1) tenants.push((await newTenantKey(database)).tenantId);
});
afterAll(async () => {
  await database?.close();
  await ground?.stop();
});
const tenant = (index: number) => tenants[index % tenants.length] as TenantId;

const creditOf = (key: string, tenantId: TenantId, amount: bigint) => ({
  key,
  tenantId,
  asset: 'USDC' as const,
  amount,
  reason: 'a deposit',
  actor,
});
const settlementOf = (reference: string, key: string, supplier: number) => ({
  reference,
  key,
  supplierId: tenant(supplier),
  costMicroUsd: 1_000n,
  usdPerIo,
  memo: 'usage',
  actor,
});

test('64 writers over few accounts lose no update and meet no deadlock', async () => {
  const holds = ['h-0', 'h-1', 'h-2', 'h-3'];
  for (const [index, reference] of holds.entries()) {
    const terms = {
      reference,
      tenantId: tenant(index),
      asset: 'USDC' as const,
      amount: 10_000_000n,
      memo: 'order',
      actor,
    };
    await database.transaction(tx => credit(tx, creditOf(`for ${reference}`, tenant(index), 10_000_000n)));
    await database.transaction(tx => openHold(tx, terms));
  }
  const rounds = 12;
  const writer = async (number: number) => {
    for (let round = 0; round < rounds; round += 1) {
      const key = `${number}-${round}`;
      // Several in one statement, over all holds and suppliers, in an order of each writer's own.
      const several = holds.map((_, index) => {
        const at = (index + number + round) % holds.length;
        return settlementOf(holds[at] ?? '', key, at + round);
      });
      await database.transaction(tx => settle(tx, fees, several));
      await database.transaction(tx => credit(tx, creditOf(key, tenant(number + round), 7n)));
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, number) => writer(number)));

  const paid = 1_022n; // 1,000 micro-USD and 2.25 % of fees, rounded down
  const left = 10_000_000n - BigInt(writers * rounds) * paid;
  const states = await readHolds(database, holds);
  for (const reference of holds) expect(states.get(reference)?.left).toBe(left);
  const { totals, lines } = await trialBalance(database);
  expect(totals).toEqual([
    { asset: 'IO', balance: '0.00000000' },
    { asset: 'USDC', balance: '0.000000' },
  ]);
  const credited = 40_000_000 + 7 * writers * rounds;
  expect(lines.find(({ kind }) => kind === 'deposits')?.balance).toBe(`-${(credited / 1e6).toFixed(6)}`);
  expect(await checkLedger(database)).toMatchObject({ clean: true, transactions: 8 + 5 * writers * rounds });
});

test('64 writers with one key post one transaction, and close a hold once', async () => {
  await database.transaction(tx => credit(tx, creditOf('once', tenant(0), 1_000n)));
  const before = await checkLedger(database);
  const posted = await Promise.all(
    Array.from({ length: writers }, () =>
      database.transaction(tx => credit(tx, creditOf('by all of them', tenant(0), 5n))),
    ),
  );
  expect(new Set(posted.map(({ id }) => id)).size).toBe(1);
  expect(posted.filter(({ isNew }) => isNew)).toHaveLength(1);
  const given = await Promise.all(
    Array.from({ length: writers }, () => database.transaction(tx => closeHold(tx, 'h-0', actor))),
  );
  expect(given.filter(amount => amount !== null)).toHaveLength(1);
  const after = await checkLedger(database);
  expect([after.clean, after.transactions]).toEqual([true, before.transactions + 2]);
});

test('more is never taken from a hold than it has, however many take at a time', async () => {
  const terms = {
    reference: 'small',
    tenantId: tenant(0),
    asset: 'USDC' as const,
    amount: 10_220n,
    memo: 'order',
    actor,
  };
  await database.transaction(tx => credit(tx, creditOf('for small', tenant(0), 10_220n)));
  await database.transaction(tx => openHold(tx, terms));
  const outcomes = await Promise.allSettled(
    Array.from({ length: writers }, (_, number) =>
      database.transaction(tx => settle(tx, fees, [settlementOf('small', String(number), number)])),
    ),
  );
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'conflict' });
  }
  expect((await readHolds(database, ['small'])).get('small')?.left).toBe(0n);
  expect((await checkLedger(database)).clean).toBe(true);
});

test('64 writers that open, settle, take back and close orders of the same few tenants never wait in a circle', async () => {
  for (const [index, tenantId] of tenants.entries()) {
    await database.transaction(tx => credit(tx, creditOf(`for many ${index}`, tenantId, 10n ** 12n)));
  }
  const refused: string[] = [];
  /** An order of another may be closed by then: that is said, and nothing else may go wrong. */
  const orRefused = async (work: Promise<unknown>) => {
    await work.catch(error => {
      if (!(error instanceof Failure)) throw error;
      refused.push(error.code);
    });
  };
  const writer = async (number: number) => {
    for (let round = 0; round < 4; round += 1) {
      const reference = `mixed-${number}-${round}`;
      const next = `mixed-${(number + 1) % writers}-${round}`;
      const terms = {
        reference,
        tenantId: tenant(number),
        asset: 'USDC' as const,
        amount: 100_000n,
        memo: 'order',
        actor,
      };
      await database.transaction(tx => openHold(tx, terms));
      const [own] = await database.transaction(tx => settle(tx, fees, [settlementOf(reference, 'own', number + 1)]));
      const both = [settlementOf(next, `of ${number}`, number), settlementOf(reference, 'with the next', number)];
      await orRefused(database.transaction(tx => settle(tx, fees, both)));
      await Promise.all([
        orRefused(database.transaction(tx => reverse(tx, own?.id ?? 0, 'a mistake', actor))),
        database.transaction(tx => closeHold(tx, reference, actor)),
      ]);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, number) => writer(number)));
  expect(new Set(refused)).toEqual(new Set(refused.filter(code => code === 'conflict' || code === 'not-found')));
  const { rows } = await database.query<{ open: number; left: string }>(
    `SELECT count(*) FILTER (WHERE NOT closed)::int AS open, sum(balance)::text AS left
     FROM ledger_balances JOIN ledger_accounts a ON a.id = account_id WHERE a.hold LIKE 'mixed-%'`,
  );
  expect(rows[0]).toEqual({ open: 0, left: '0' });
  expect((await checkLedger(database)).clean).toBe(true);
});

const killServer = async () => {
  await ground.postgres.kill();
  await ground.postgres.restart();
};
/** PostgreSQL then ends all of its backends and recovers by itself. */
const killBackend = async () => {
  const { rows } = await ground.database.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1",
  );
  process.kill(rows[0]?.pid ?? 0, 'SIGKILL');
};
const back = async (deadlineMs: number): Promise<void> => {
  try {
    await ground.database.query('SELECT 1');
  } catch (error) {
    if (performance.now() > deadlineMs) throw error;
    await new Promise(wake => setTimeout(wake, 100));
    await back(deadlineMs);
  }
};

test.each([
  ['the server', killServer],
  ['a backend', killBackend],
])(
  'after kill -9 of %s in mid-write what was acknowledged is there once, and the books are clean',
  async (what, kill) => {
    const acknowledged: string[] = [];
    const doubtful: string[] = [];
    const enough = 200;
    let killed = false;
    let reached: () => void = () => undefined;
    const underWay = new Promise<void>(resolve => {
      reached = resolve;
    });
    const writer = async (number: number) => {
      for (let round = 0; !killed; round += 1) {
        const key = `kill-${number}-${round} ${what}`;
        try {
          await database.transaction(tx => credit(tx, creditOf(key, tenant(number), 3n)));
          acknowledged.push(key);
          if (acknowledged.length >= enough) reached();
        } catch (error) {
          if (!killed) throw error;
          doubtful.push(key);
        }
      }
    };
    const writing = Promise.all(Array.from({ length: writers }, (_, number) => writer(number)));
    await Promise.race([underWay, writing]);
    killed = true;
    await kill();
    await writing;
    await back(performance.now() + 60_000);

    expect((await checkLedger(database)).clean).toBe(true);
    const known = async () => {
      const { rows } = await database.query<{ key: string }>(
        "SELECT idempotency_key AS key FROM ledger_transactions WHERE idempotency_key LIKE 'credit:kill-%' || $1",
        [what],
      );
      return new Set(rows.map(({ key }) => key.replace('credit:', '')));
    };
    const there = await known();
    expect(acknowledged.filter(key => !there.has(key))).toEqual([]);
    expect(doubtful.length).toBeGreaterThan(0);
    // Who got no answer repeats with the same key.
    const tenantOf = (key: string) => tenant(Number(key.split('-')[1]));
    for (const key of [...doubtful, ...acknowledged.slice(0, 20)]) {
      await database.transaction(tx => credit(tx, creditOf(key, tenantOf(key), 3n)));
    }
    expect((await known()).size).toBe(acknowledged.length + doubtful.length);
    expect((await checkLedger(database)).clean).toBe(true);
  },
);
