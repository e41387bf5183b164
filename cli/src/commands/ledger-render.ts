/** Accounts, transactions and checks of the ledger as a person reads them. Pure. */
import type {
  Hold,
  LedgerAccount,
  LedgerCheck,
  LedgerEntry,
  LedgerTransaction,
  TrialBalance,
} from '@iocloud/contracts';
import { facts, oneLine, table } from '../output.js';

const memoWidth = 40;
const owner = ({ tenantId, hold }: Pick<LedgerEntry, 'tenantId' | 'hold'>) =>
  [tenantId ?? 'network', ...(hold === null ? [] : [hold])].join(' ');

export function balanceTable(accounts: readonly LedgerAccount[]): string {
  if (accounts.length === 0) return 'no money has come in yet';
  return table(
    ['account', 'asset', 'balance', 'of'],
    accounts.map(account => [account.kind, account.asset, account.balance, owner(account)]),
  );
}

const nothing = /^-?0\.0*$/;
/** What it comes to for whom: one sum for each sort of account and asset of tenants; the network's only where none is. */
function gist(entries: readonly LedgerEntry[]): string {
  const ofTenants = entries.filter(({ tenantId }) => tenantId !== null);
  return (ofTenants.length > 0 ? ofTenants : entries)
    .filter(({ amount }) => !nothing.test(amount))
    .map(({ kind, asset, amount }) => `${kind} ${amount.startsWith('-') ? '' : '+'}${amount} ${asset}`)
    .join(', ');
}

export function statementTable(transactions: readonly LedgerTransaction[]): string {
  if (transactions.length === 0) return 'nothing has been posted yet';
  return table(
    ['id', 'at', 'kind', 'memo', 'entries'],
    transactions.map(({ id, at, kind, memo, entries }) => [
      String(id),
      `${at.slice(0, 19)}Z`,
      kind,
      oneLine(memo, memoWidth),
      gist(entries),
    ]),
  );
}

export function transactionInWords(transaction: LedgerTransaction): string {
  const { id, at, kind, memo, actor, reverses, reversedBy, detail, entries } = transaction;
  const lines = facts([
    ['transaction', String(id)],
    ['at', at],
    ['kind', kind],
    ['memo', memo],
    ['posted by', actor],
    ...(reverses === null ? [] : [['takes back', String(reverses)] as const]),
    ...(reversedBy === null ? [] : [['taken back by', String(reversedBy)] as const]),
    ...Object.entries(detail),
  ]);
  const postings = table(
    ['account', 'asset', 'amount', 'of'],
    entries.map(entry => [entry.kind, entry.asset, entry.amount, owner(entry)]),
  );
  return `${lines}\n\n${postings}`;
}

export const holdInWords = ({ reference, tenantId, asset, left, closed }: Hold): string =>
  facts([
    ['hold', reference],
    ['of', tenantId],
    ['left', `${left} ${asset}`],
    ['state', closed ? 'closed' : 'open'],
  ]);

export function trialBalanceTable({ lines, totals }: TrialBalance): string {
  if (lines.length === 0) return 'no money has come in yet';
  return table(
    ['asset', 'account', 'accounts', 'balance'],
    [
      ...lines.map(({ asset, kind, accounts, balance }) => [asset, kind, String(accounts), balance]),
      ...totals.map(({ asset, balance }) => [asset, 'all', '', balance]),
    ],
  );
}

export function checkInWords(check: LedgerCheck): string {
  const looked = `${check.transactions} transactions, ${check.postings} postings and ${check.accounts} accounts`;
  if (check.clean)
    return `${looked}: every balance is the sum of its postings, every transaction is whole and balanced`;
  const differences = table(
    ['what', 'subject', 'difference'],
    check.differences.map(({ what, subject, message }) => [what, subject, message]),
  );
  return `${differences}\n${looked}: ${check.differencesInAll} differences`;
}
