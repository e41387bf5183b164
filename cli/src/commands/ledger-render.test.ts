import type { LedgerTransaction, TenantId } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { balanceTable, checkInWords, statementTable, transactionInWords, trialBalanceTable } from './ledger-render.js';

const tenantId = 'tn_00000000000000000001' as TenantId;
const ofNetwork = { tenantId: null, hold: null } as const;
const settlement: LedgerTransaction = {
  id: 17,
  at: '2026-11-26T10:00:00.000Z',
  kind: 'settlement',
  memo: 'hour 1',
  detail: { costUsd: '1.234567' },
  actor: 'us_00000000000000000001',
  reverses: null,
  reversedBy: 18,
  entries: [
    { kind: 'escrow', asset: 'USDC', tenantId, hold: 'order-7', amount: '-1.262344' },
    { kind: 'fees', asset: 'USDC', ...ofNetwork, amount: '0.030863' },
  ],
};

test('a balance names the account, and the order that money is set aside for', () => {
  const account = { id: 1, kind: 'escrow', asset: 'USDC', tenantId, hold: 'order-7', closed: false } as const;
  expect(balanceTable([{ ...account, balance: '8.737656' }])).toBe(
    ['ACCOUNT  ASSET  BALANCE   OF', 'escrow   USDC   8.737656  tn_00000000000000000001 order-7'].join('\n'),
  );
  expect(balanceTable([])).toBe('no money has come in yet');
});

test('a statement says in a line what each transaction came to', () => {
  const lines = statementTable([settlement]).split('\n');
  expect(lines[1]).toBe('17  2026-11-26T10:00:00Z  settlement  hour 1  escrow -1.262344 USDC');
  expect(statementTable([])).toBe('nothing has been posted yet');
});

test('a transaction shows what it was computed from, what took it back, and its entries', () => {
  const words = transactionInWords(settlement);
  expect(words).toMatch(/^transaction +17\n/);
  expect(words).toMatch(/\ntaken back by +18\n/);
  expect(words).toMatch(/\ncostUsd +1\.234567\n/);
  expect(words).toMatch(/\nfees +USDC +0\.030863 +network$/);
});

test('a trial balance ends with the sum of each asset', () => {
  const lines = [
    { asset: 'IO', kind: 'available', accounts: 2, balance: '5.00000000' },
    { asset: 'IO', kind: 'deposits', accounts: 1, balance: '-5.00000000' },
  ] as const;
  const shown = trialBalanceTable({ lines: [...lines], totals: [{ asset: 'IO', balance: '0.00000000' }] });
  expect(shown.split('\n').at(-1)).toBe('IO     all        -         0.00000000');
});

test('a check says what it looked at, and each difference', () => {
  const looked = { accounts: 4, transactions: 3, postings: 6 };
  expect(checkInWords({ clean: true, ...looked, differences: [], differencesInAll: 0 })).toMatch(
    /^3 transactions.*sum/,
  );
  const difference = { what: 'unbalanced', subject: '17', message: 'sums to 3 units of IO' } as const;
  const words = checkInWords({ clean: false, ...looked, differences: [difference], differencesInAll: 1 });
  expect(words).toMatch(/unbalanced +17 +sums to 3 units of IO\n.*: 1 differences$/);
});
