/** `iocloud deposit` and, for operators, `iocloud settlement`: money between the ledger and Solana. */
import { readFile, writeFile } from 'node:fs/promises';
import type { Deposit, SettlementStatus } from '@iocloud/contracts';
import type { Command } from 'commander';
import { collect } from '../client.js';
import { facts, table } from '../output.js';
import { CliError } from './exit.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

type Leaf = (name: string, description: string) => Command;
const leavesOf =
  (parent: Command): Leaf =>
  (name, description) =>
    withCommonOptions(parent.command(name).description(description));
const listed = (command: Command) => command.option('--limit <n>', 'at most so many', argument(parseCount), 100);

export function settlementCommands(program: Command, terminal: Terminal): void {
  depositCommands(leavesOf(program.command('deposit').description('pay in on Solana')), terminal);
  const settlement = program.command('settlement').description('keys, and chain against ledger (for operators)');
  operatorCommands(settlement, terminal);
}

function depositCommands(leaf: Leaf, terminal: Terminal): void {
  leaf('address', 'the address to send IO and USDC to; it is yours alone and stays the same').action(
    (options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const made = await client.call('getDepositAddress');
        const mints = made.mints.map(({ asset, mint, least }): [string, string] => [
          asset,
          `mint ${mint}, from ${least} on`,
        ]);
        show(made, () => facts([['address', made.address], ...mints]));
      }),
  );
  listed(leaf('list', 'what has come in, newest first')).action((options: CommonOptions & { limit: number }) =>
    run(terminal, options, async ({ client, show }) => {
      const deposits = await collect(client.list('listDeposits', {}, options.limit));
      show(deposits, () => depositTable(deposits));
    }),
  );
}

const depositTable = (deposits: readonly Deposit[]): string =>
  deposits.length === 0
    ? 'nothing has come in yet; `iocloud deposit address` says where to send it'
    : table(
        ['at', 'amount', 'state', 'transaction'],
        deposits.map(({ at, amount, asset, mint, state, url }) => [at, `${amount} ${asset ?? mint}`, state, url]),
      );

function operatorCommands(settlement: Command, terminal: Terminal): void {
  const leaf = leavesOf(settlement);
  leaf('init', 'make the keystore of settlement on this machine; it prints the addresses to fund')
    .requiredOption('--keystore <file>', 'to be made; it must not be there yet')
    .requiredOption('--passphrase-file <file>', 'holds the passphrase, at least 12 characters')
    .action((options: CommonOptions & { keystore: string; passphraseFile: string }) =>
      run(terminal, options, async ({ show }) => {
        const made = await initKeystore(options);
        const keep = 'Keep a copy of the file and of its passphrase apart from each other; send SOL to the fee payer.';
        const { keystore, feePayer, treasury } = made;
        const lines = facts([
          ['keystore', keystore],
          ['fee payer', feePayer],
          ['treasury', treasury],
        ]);
        show(made, () => `${lines}\n\n${keep}`);
      }),
    );
  leaf('status', 'chain against ledger, what is under way, what is wrong').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const status = await client.call('settlementStatus');
      show(status, () => statusInWords(status));
    }),
  );
  leaf('acknowledge <difference>', 'you have looked at it: pay-outs go on').action(
    (id: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const status = await client.call('acknowledgeDifference', { params: { differenceId: id } });
        show(status, () => statusInWords(status));
      }),
  );
}

const shortestPassphrase = 12;

/** The public part of what it made. Throws CliError. */
async function initKeystore({ keystore, passphraseFile }: { keystore: string; passphraseFile: string }) {
  const refuse = (file: string) => (error: NodeJS.ErrnoException) => {
    const why = error.code === 'EEXIST' ? 'is there already' : `cannot be opened: ${error.code}`;
    throw new CliError('usage', `${file} ${why}`);
  };
  const text = await readFile(passphraseFile, 'utf8').catch(refuse(passphraseFile));
  const passphrase = text.replace(/\r?\n$/, '');
  if (passphrase.length < shortestPassphrase) {
    throw new CliError('usage', `${passphraseFile}: a passphrase has at least ${shortestPassphrase} characters`);
  }
  // Only this command needs it.
  const { makeKeystore } = await import('@iocloud/contracts/wire');
  const made = makeKeystore(passphrase);
  // Never over another one: with it the money of its addresses would be gone.
  await writeFile(keystore, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600, flag: 'wx' }).catch(refuse(keystore));
  return { keystore, feePayer: made.feePayer, treasury: made.treasury };
}

function statusInWords(status: SettlementStatus): string {
  if (!status.configured) return status.problems.join('\n');
  const balances = status.balances.map(({ asset, onChain, inLedger, difference }) => [
    asset,
    onChain,
    inLedger,
    difference,
  ]);
  const payouts = status.payouts.map(({ state, asset, count, amount }) => [state, String(count), `${amount} ${asset}`]);
  const differences = status.differences.map(({ id, message, openedAt, acknowledgedBy }) => [
    ...[String(id), openedAt, message, acknowledgedBy ?? 'no'],
  ]);
  return [
    facts([
      ['treasury', status.treasury ?? ''],
      ['fee payer', `${status.feePayer}, ${status.feePayerLamports ?? 'unknown'} lamports`],
      ['last turn', status.lastTurnAt ?? 'none yet'],
      ['pay-outs', status.paused ? 'paused: chain and ledger differ' : 'go on'],
    ]),
    table(['asset', 'on chain', 'in ledger', 'difference'], balances),
    ...(payouts.length > 0 ? [table(['state', 'pay-outs', 'amount'], payouts)] : []),
    ...(differences.length > 0 ? [table(['difference', 'since', 'what', 'acknowledged'], differences)] : []),
    ...status.problems.map(problem => `! ${problem}`),
  ].join('\n\n');
}
