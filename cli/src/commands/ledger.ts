/** `iocloud balance` and `iocloud ledger list | show`, for everybody; what posts and checks is for operators. */
import { randomUUID } from 'node:crypto';
import type { Asset, TenantId } from '@iocloud/contracts';
import { assetDecimals } from '@iocloud/contracts/amounts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { outlookInWords } from './billing-render.js';
import { CliError } from './exit.js';
import { whyInWords } from './invoices-render.js';
import {
  balanceTable,
  checkInWords,
  holdInWords,
  statementTable,
  transactionInWords,
  trialBalanceTable,
} from './ledger-render.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import { findTenant } from './tenant.js';
import type { Terminal } from './terminal.js';

type Whose = { tenant?: string; all?: boolean };
type Keyed = CommonOptions & { key?: string };
type Leaf = (name: string, description: string) => Command;

const withWhose = (command: Command): Command =>
  command
    .option('--tenant <tenant>', 'of this tenant, by name or id (for operators)')
    .option('--all', 'of all tenants and of the network (for operators)');

const tenantOf = ({ tenantId }: Record<string, unknown>) =>
  typeof tenantId === 'string' ? { tenantId: tenantId as TenantId } : {};

async function whose(client: Client, { tenant, all }: Whose): Promise<Record<string, string | boolean>> {
  if (tenant !== undefined && all) throw new CliError('usage', 'either --tenant or --all');
  if (all) return { all };
  return tenant === undefined ? {} : { tenantId: await findTenant(client, tenant) };
}

export function parseAsset(text: string): Asset {
  const asset = text.toUpperCase();
  if (!Object.hasOwn(assetDecimals, asset)) {
    throw new CliError('usage', `"${text}" is no asset; there are ${Object.keys(assetDecimals).join(', ')}`);
  }
  return asset as Asset;
}

/** Where none is named, a new one for each command: it makes our own repeated tries the same call. */
const withKey = (command: Command): Command =>
  command.option('--key <key>', 'repeated with the same key, it is posted once');

export function ledgerCommands(program: Command, terminal: Terminal): void {
  const balance = program.command('balance').description('your accounts: available, set aside, earned');
  withWhose(withCommonOptions(balance))
    .option('--closed', 'with the escrow of closed holds')
    .action((options: CommonOptions & Whose & { closed?: boolean }) =>
      run(terminal, options, async ({ client, show }) => {
        const query = { ...(await whose(client, options)), closed: options.closed };
        const accounts = await collect(client.list('listLedgerAccounts', query));
        const outlook = options.all ? null : await client.call('getBilling', { query: tenantOf(query) });
        const isRunning = outlook !== null && (outlook.orders.length > 0 || outlook.waitingReason !== null);
        show(accounts, () => [balanceTable(accounts), ...(isRunning ? [outlookInWords(outlook)] : [])].join('\n'));
      }),
    );
  const ledger = program.command('ledger').description('statement; for operators also credits, holds and checks');
  const leaf: Leaf = (name, description) => withCommonOptions(ledger.command(name).description(description));
  readingCommands(leaf, terminal);
  whyCommand(leaf, terminal);
  correctingCommands(leaf, terminal);
  holdCommands(leaf, terminal);
  checkingCommands(leaf, terminal);
}

function readingCommands(leaf: Leaf, terminal: Terminal): void {
  withWhose(leaf('list', 'your statement, newest first'))
    .option('--limit <n>', 'at most so many', argument(parseCount), 100)
    .action((options: CommonOptions & Whose & { limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const query = await whose(client, options);
        const transactions = await collect(client.list('listLedgerTransactions', query, options.limit));
        show(transactions, () => statementTable(transactions));
      }),
    );
  leaf('show <id>', 'one transaction, with what it was computed from').action((id: string, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const transaction = await client.call('getLedgerTransaction', { params: { transactionId: id } });
      show(transaction, () => transactionInWords(transaction));
    }),
  );
}

function whyCommand(leaf: Leaf, terminal: Terminal): void {
  leaf('why <id>', 'what a transaction stands on: windows, evidence, jobs, price, rate, postings').action(
    (id: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const why = await client.call('explainTransaction', { params: { transactionId: id }, query: { limit: 1000 } });
        show(why, () => whyInWords(why));
      }),
  );
}

function correctingCommands(leaf: Leaf, terminal: Terminal): void {
  const credit = leaf('credit <tenant> <amount> <asset>', 'credit a tenant with a deposit (for operators)');
  withKey(credit)
    .requiredOption('--reason <text>', 'why; the tenant reads it')
    .action((tenant: string, amount: string, asset: string, options: Keyed & { reason: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const tenantId = await findTenant(client, tenant);
        const body = { tenantId, amount, asset: parseAsset(asset), reason: options.reason };
        const made = await client.call('creditTenant', { body, idempotencyKey: options.key ?? randomUUID() });
        show(made, () => transactionInWords(made));
      }),
    );
  leaf('reverse <id>', 'take a transaction back by a correcting one (for operators)')
    .requiredOption('--reason <text>', 'why; the tenant reads it')
    .action((id: string, options: CommonOptions & { reason: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const body = { reason: options.reason };
        const made = await client.call('reverseTransaction', { params: { transactionId: id }, body });
        show(made, () => transactionInWords(made));
      }),
    );
}

interface SettleOptions extends Keyed {
  supplier: string;
  cost: string;
  usdPerIo: string;
  memo: string;
}

function holdCommands(leaf: Leaf, terminal: Terminal): void {
  leaf('hold <reference> <tenant> <amount> <asset>', 'set money aside for an order (for operators)')
    .requiredOption('--memo <text>', 'what for; the tenant reads it')
    .action(
      (reference: string, tenant: string, amount: string, asset: string, options: CommonOptions & { memo: string }) =>
        run(terminal, options, async ({ client, show }) => {
          const tenantId = await findTenant(client, tenant);
          const body = { reference, tenantId, amount, asset: parseAsset(asset), memo: options.memo };
          const hold = await client.call('openHold', { body });
          show(hold, () => holdInWords(hold));
        }),
    );
  withKey(leaf('settle <reference>', 'pay for usage out of a hold (for operators)'))
    .requiredOption('--supplier <tenant>', 'whose machine it was, by name or id')
    .requiredOption('--cost <usd>', 'of the usage, before fees')
    .requiredOption('--usd-per-io <price>', 'of one IO, such as 1.85 or 37/20')
    .requiredOption('--memo <text>', 'what for; renter and supplier read it')
    .action((reference: string, options: SettleOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const { supplier, cost, usdPerIo, memo, key } = options;
        const body = { supplierId: await findTenant(client, supplier), costUsd: cost, usdPerIo, memo };
        const call = { params: { reference }, body, idempotencyKey: key ?? randomUUID() };
        const made = await client.call('settleHold', call);
        show(made, () => transactionInWords(made));
      }),
    );
  leaf('close <reference>', 'end a hold: the rest goes back, once (for operators)').action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const hold = await client.call('closeHold', { params: { reference } });
        show(hold, () => holdInWords(hold));
      }),
  );
}

function checkingCommands(leaf: Leaf, terminal: Terminal): void {
  leaf('trial-balance', 'sums of all accounts by sort (for operators)').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const sums = await client.call('trialBalance');
      show(sums, () => trialBalanceTable(sums));
    }),
  );
  leaf('check', 'compute all balances anew and say what differs (for operators)').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const check = await client.call('checkLedger');
      show(check, () => checkInWords(check));
      if (!check.clean) throw new CliError('callFailed', 'the ledger does not agree with itself');
    }),
  );
}
