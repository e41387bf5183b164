/** The books, held against themselves: sums by sort of account, and every balance computed anew from the postings. */
import { type AccountKind, type Asset, type LedgerCheck, type TrialBalance, unitsInWords } from '@iocloud/contracts';
import type { Database, Queryable } from '../platform/index.js';

export async function trialBalance(db: Queryable): Promise<TrialBalance> {
  const { rows } = await db.query<{ asset: Asset; kind: AccountKind; accounts: number; balance: string }>(
    `SELECT a.asset, a.kind, count(*)::int AS accounts, sum(b.balance)::text AS balance
     FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
     GROUP BY a.asset, a.kind ORDER BY a.asset, a.kind`,
  );
  const totals = new Map<Asset, bigint>();
  for (const { asset, balance } of rows) totals.set(asset, (totals.get(asset) ?? 0n) + BigInt(balance));
  return {
    lines: rows.map(row => ({ ...row, balance: unitsInWords(BigInt(row.balance), row.asset) })),
    totals: [...totals].map(([asset, total]) => ({ asset, balance: unitsInWords(total, asset) })),
  };
}

type Difference = LedgerCheck['differences'][number];
const mostListed = 100;

/** Each finds one sort of difference. Amounts are said in the smallest unit: what differs is for who keeps the ledger. */
const searches: Record<'balance' | 'unbalanced' | 'incomplete' | 'overdrawn', string> = {
  balance: `
    SELECT coalesce(a.name, 'account ' || coalesce(b.account_id, s.account_id)) AS subject,
      format('balance is %s, its postings sum to %s', coalesce(b.balance::text, 'not there'), coalesce(s.total, 0)) AS message
    FROM ledger_balances b
    FULL JOIN (SELECT account_id, sum(amount) AS total FROM ledger_postings GROUP BY account_id) s USING (account_id)
    LEFT JOIN ledger_accounts a ON a.id = coalesce(b.account_id, s.account_id)
    WHERE b.balance IS DISTINCT FROM coalesce(s.total, 0) OR a.id IS NULL`,
  unbalanced: `
    SELECT p.transaction_id::text AS subject, format('sums to %s units of %s', sum(p.amount), a.asset) AS message
    FROM ledger_postings p LEFT JOIN ledger_accounts a ON a.id = p.account_id
    GROUP BY p.transaction_id, a.asset HAVING sum(p.amount) <> 0`,
  incomplete: `
    SELECT coalesce(t.id, p.transaction_id)::text AS subject,
      format('has %s postings and must have %s', coalesce(p.count, 0), coalesce(t.lines, 0)) AS message
    FROM ledger_transactions t
    FULL JOIN (SELECT transaction_id, count(*) AS count FROM ledger_postings GROUP BY transaction_id) p
      ON p.transaction_id = t.id
    WHERE t.lines IS DISTINCT FROM p.count`,
  overdrawn: `
    SELECT a.name AS subject, format('is at %s', b.balance) AS message
    FROM ledger_balances b JOIN ledger_accounts a ON a.id = b.account_id
    WHERE a.tenant_id IS NOT NULL AND b.balance < 0`,
};

/** Of one moment, while others go on posting. */
export async function checkLedger(
  database: Database,
  checkUsage?: (db: Queryable) => Promise<Difference[]>,
): Promise<LedgerCheck> {
  return database.transaction(async tx => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const { rows } = await tx.query<{ accounts: number; transactions: number; postings: number }>(
      `SELECT (SELECT count(*) FROM ledger_accounts) AS accounts, (SELECT count(*) FROM ledger_transactions) AS transactions,
         (SELECT count(*) FROM ledger_postings) AS postings`,
    );
    const differences: Difference[] = [];
    let differencesInAll = 0;
    for (const [what, search] of Object.entries(searches) as [keyof typeof searches, string][]) {
      const found = await tx.query<{ subject: string; message: string; in_all: number }>(
        `SELECT subject, message, count(*) OVER () AS in_all FROM (${search}) found ORDER BY subject LIMIT ${mostListed}`,
      );
      differences.push(...found.rows.map(({ subject, message }) => ({ what, subject, message })));
      differencesInAll += found.rows[0]?.in_all ?? 0;
    }
    if (checkUsage) {
      const found = await checkUsage(tx);
      differences.push(...found);
      differencesInAll += found.length;
    }
    const counts = rows[0] ?? { accounts: 0, transactions: 0, postings: 0 };
    return { clean: differencesInAll === 0, ...counts, differences, differencesInAll };
  });
}
