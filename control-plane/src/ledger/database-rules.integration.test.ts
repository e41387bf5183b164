/** What the database refuses by itself, whoever asks it: each rule is attacked with the role that the control plane has. */
import type { TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Database } from '../platform/index.js';
import { type Ground, newTenantKey, startGround } from '../test-ground.js';
import { checkLedger } from './check.js';
import { credit } from './credits.js';

let ground: Ground;
let database: Database;
let tenantId: TenantId;
/** Ids of accounts that exist. */
let available: number;
let deposits: number;
let otherAsset: number;
let posted: number;

beforeAll(async () => {
  ground = await startGround();
  database = ground.database;
  tenantId = (await newTenantKey(database)).tenantId;
  const give = (key: string, asset: 'IO' | 'USDC') =>
    database.transaction(tx => credit(tx, { key, tenantId, asset, amount: 100n, reason: 'a start', actor: 'test' }));
  posted = (await give('first', 'USDC')).id;
  await give('second', 'IO');
  const idOf = async (name: string) =>
    (await database.query<{ id: number }>('SELECT id FROM ledger_accounts WHERE name = $1', [name])).rows[0]?.id ?? 0;
  available = await idOf(`available:USDC:${tenantId}`);
  deposits = await idOf('deposits:USDC');
  otherAsset = await idOf(`available:IO:${tenantId}`);
});
afterAll(() => ground?.stop());

const balances = async () =>
  (await database.query('SELECT account_id, balance, closed FROM ledger_balances ORDER BY account_id')).rows;

let keys = 0;
/** A transaction by plain SQL: its lines as they are declared, then its postings in one statement for each list. */
function raw(lines: number, ...statements: [account: number, amount: number, line?: number][][]): Promise<void> {
  keys += 1;
  return database.transaction(async tx => {
    const { rows } = await tx.query<{ id: number }>(
      `INSERT INTO ledger_transactions (idempotency_key, content_hash, kind, lines, memo, detail, actor)
       VALUES ($1, '', 'credit', $2, '', '{}', 'test') RETURNING id`,
      [`raw ${keys}`, lines],
    );
    for (const statement of statements) await insert(tx, rows[0]?.id ?? 0, statement);
  });
}
const insert = (db: Pick<Database, 'query'>, id: number, postings: [number, number, number?][]) =>
  db.query(
    `INSERT INTO ledger_postings (transaction_id, line, account_id, amount)
     SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bigint[])`,
    [
      id,
      postings.map(([, , line], index) => line ?? index + 1),
      postings.map(([account]) => account),
      postings.map(([, amount]) => amount),
    ],
  );

const refusals: [string, () => Promise<unknown>, RegExp][] = [
  ['an update of a posting', () => database.query('UPDATE ledger_postings SET amount = 1'), /append-only/],
  [
    'an update that meets no row',
    () => database.query('UPDATE ledger_postings SET amount = 1 WHERE false'),
    /append-only/,
  ],
  ['a deletion of postings', () => database.query('DELETE FROM ledger_postings'), /append-only/],
  ['emptying the postings', () => database.query('TRUNCATE ledger_postings'), /append-only/],
  ['an update of a transaction', () => database.query("UPDATE ledger_transactions SET memo = ''"), /append-only/],
  ['a deletion of transactions', () => database.query('DELETE FROM ledger_transactions'), /append-only/],
  ['emptying the transactions', () => database.query('TRUNCATE ledger_transactions'), /append-only/],
  ['emptying all', () => database.query('TRUNCATE ledger_accounts CASCADE'), /append-only/],
  ['an update of an account', () => database.query("UPDATE ledger_accounts SET asset = 'IO'"), /append-only/],
  ['a deletion of accounts', () => database.query('DELETE FROM ledger_accounts'), /append-only/],
  ['deleting whose money it is', () => database.query('DELETE FROM tenants WHERE id = $1', [tenantId]), /foreign key/],
  [
    'a balance by hand',
    () => database.query('UPDATE ledger_balances SET balance = balance + 1'),
    /follow from postings/,
  ],
  [
    'an overdraft by hand',
    () => database.query('UPDATE ledger_balances SET may_be_negative = true'),
    /follow from postings/,
  ],
  [
    'closing what is no hold',
    () =>
      database.transaction(async tx => {
        await tx.query(
          'INSERT INTO ledger_accounts (kind, asset, tenant_id) SELECT $1, $2, id FROM tenants WHERE id = $3',
          ['available', 'USD', tenantId],
        );
        await tx.query('UPDATE ledger_balances SET closed = true WHERE balance = 0');
      }),
    /follow from postings/,
  ],
  ['a deletion of balances', () => database.query('DELETE FROM ledger_balances'), /append-only/],
  ['emptying the balances', () => database.query('TRUNCATE ledger_balances'), /append-only/],
  [
    'an upsert of a posting',
    () =>
      database.query(
        `INSERT INTO ledger_postings VALUES ($1, 1, $2, 5) ON CONFLICT (transaction_id, line) DO UPDATE SET amount = 5`,
        [posted, available],
      ),
    /append-only/,
  ],
  [
    'a replica’s session',
    () =>
      database.transaction(async tx => {
        await tx.query('SET LOCAL session_replication_role = replica');
        await tx.query('UPDATE ledger_postings SET amount = 1');
      }),
    /append-only/,
  ],
  [
    'an unbalanced transaction',
    () =>
      raw(2, [
        [available, 5],
        [deposits, -4],
      ]),
    /sums to 1 USDC, not to zero/,
  ],
  [
    'one that balances only over two assets',
    () =>
      raw(2, [
        [otherAsset, 5],
        [deposits, -5],
      ]),
    /not to zero/,
  ],
  [
    'an account that does not exist',
    () =>
      raw(2, [
        [999_999, 5],
        [999_998, -5],
      ]),
    /accounts that do not exist/,
  ],
  [
    'a transaction that does not exist',
    () =>
      insert(database, 999_999, [
        [available, 5],
        [deposits, -5],
      ]),
    /no such transaction/,
  ],
  [
    'a second insert into an old transaction',
    () =>
      insert(database, posted, [
        [available, 5],
        [deposits, -5],
      ]),
    /duplicate key/,
  ],
  [
    'one with new numbers',
    () =>
      insert(database, posted, [
        [available, 5, 3],
        [deposits, -5, 4],
      ]),
    /must have 2, numbered/,
  ],
  [
    'a transaction in two statements',
    () =>
      raw(
        4,
        [
          [available, 5],
          [deposits, -5],
        ],
        [
          [available, 5, 3],
          [deposits, -5, 4],
        ],
      ),
    /has 2 postings in this statement and must have 4/,
  ],
  ['a transaction without postings', () => raw(2), /has no postings/],
  ['a transaction of one line', () => raw(1, [[available, 5]]), /violates check/],
  [
    'a posting of nothing',
    () =>
      raw(2, [
        [available, 0],
        [deposits, 0],
      ]),
    /violates check/,
  ],
  [
    'a balance below zero',
    () =>
      raw(2, [
        [available, -101],
        [deposits, 101],
      ]),
    /ledger_balances_covered/,
  ],
  [
    'a second one under a key',
    () =>
      database.query(
        `INSERT INTO ledger_transactions (idempotency_key, content_hash, kind, lines, memo, detail, actor)
         VALUES ('credit:first', '', 'credit', 2, '', '{}', 'test')`,
      ),
    /duplicate key/,
  ],
  [
    'earnings in anything but IO',
    () =>
      database.query("INSERT INTO ledger_accounts (kind, asset, tenant_id) VALUES ('earnings', 'USD', $1)", [tenantId]),
    /violates check/,
  ],
];

test.each(refusals)('%s is refused', async (_what, attempt, words) => {
  const before = await balances();
  await expect(attempt()).rejects.toThrow(words);
  expect(await balances()).toEqual(before);
  expect((await checkLedger(database)).clean).toBe(true);
});

test('what is whole and balanced goes in', async () => {
  await raw(2, [
    [available, 5],
    [deposits, -5],
  ]);
  expect((await balances()).find(({ account_id }) => account_id === available)?.balance).toBe(105);
  expect(await checkLedger(database)).toMatchObject({ clean: true, accounts: 4, transactions: 3, postings: 6 });
});

test('the checker finds each sort of difference once the guards are taken away', async () => {
  const lame = async (table: string, sql: string) => {
    await database.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
    await database.query(sql);
  };
  await lame('ledger_balances', `UPDATE ledger_balances SET balance = balance + 1 WHERE account_id = ${otherAsset}`);
  await lame(
    'ledger_postings',
    `UPDATE ledger_postings SET amount = amount + 3 WHERE transaction_id = ${posted} AND line = 1`,
  );
  await lame('ledger_postings', `INSERT INTO ledger_postings VALUES (${posted}, 3, ${available}, 3)`);
  const { clean, differences, differencesInAll } = await checkLedger(database);
  expect(clean).toBe(false);
  expect(differencesInAll).toBe(differences.length);
  expect(differences.map(({ what, subject }) => `${what} ${subject}`).sort()).toEqual(
    [
      `balance available:IO:${tenantId}`,
      `balance available:USDC:${tenantId}`,
      'balance deposits:USDC',
      `incomplete ${posted}`,
      `unbalanced ${posted}`,
    ].sort(),
  );
});
