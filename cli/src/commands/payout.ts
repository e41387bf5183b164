/** `iocloud payout`: to whom, how much, confirmed by a second factor; or by itself, above a threshold. */
import { randomUUID } from 'node:crypto';
import type { Payout, PayoutAddressId, PayoutId, UserId } from '@iocloud/contracts';
import type { Command } from 'commander';
import { collect } from '../client.js';
import { facts, table } from '../output.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

type Leaf = (name: string, description: string) => Command;
const leavesOf =
  (parent: Command): Leaf =>
  (name, description) =>
    withCommonOptions(parent.command(name).description(description));
const coded = (command: Command) => command.requiredOption('--code <digits>', 'what your authenticator shows now');

export function payoutCommands(program: Command, terminal: Terminal): void {
  const payout = program.command('payout').description('pay out on Solana');
  const leaf = leavesOf(payout);
  askingCommands(leaf, terminal);
  addressCommands(leavesOf(payout.command('address').description('addresses that may be paid out to')), terminal);
  scheduleCommands(leaf, terminal);
  factorCommands(leaf, terminal);
}

const payoutTable = (payouts: readonly Payout[]): string =>
  payouts.length === 0
    ? 'no pay-outs yet; `iocloud payout request` asks for one'
    : table(
        ['id', 'amount', 'from', 'to', 'state', 'transaction'],
        payouts.map(({ id, amount, asset, source, address, state, url, reason }) => [
          ...[id, `${amount} ${asset}`, source, address, state, url ?? reason],
        ]),
      );

const payoutInWords = (payout: Payout): string =>
  facts([
    ['id', payout.id],
    ['amount', `${payout.amount} ${payout.asset} out of ${payout.source}`],
    ['to', payout.address],
    ['state', payout.reason ? `${payout.state}: ${payout.reason}` : payout.state],
    ...(payout.url ? [['transaction', payout.url] as [string, string]] : []),
    ...(payout.state === 'requested'
      ? [['next', `iocloud payout confirm ${payout.id} --code …`] as [string, string]]
      : []),
  ]);

function askingCommands(leaf: Leaf, terminal: Terminal): void {
  leaf('list', 'your pay-outs, newest first')
    .option('--limit <n>', 'at most so many', argument(parseCount), 100)
    .option('--all', 'of all tenants (for operators)')
    .action((options: CommonOptions & { limit: number; all?: boolean }) =>
      run(terminal, options, async ({ client, show }) => {
        const payouts = await collect(client.list('listPayouts', options.all ? { all: true } : {}, options.limit));
        show(payouts, () => payoutTable(payouts));
      }),
    );
  leaf('show <id>', 'one pay-out, with its transaction').action((id: PayoutId, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const payout = await client.call('getPayout', { params: { payoutId: id } });
      show(payout, () => payoutInWords(payout));
    }),
  );
  leaf('request <amount> <asset>', 'ask for a pay-out in IO or USDC; it waits for its confirmation')
    .requiredOption('--to <address-id>', 'one of `iocloud payout address list`')
    .option('--from <account>', 'earnings (IO alone) or available', 'earnings')
    .option('--key <key>', 'repeated with the same key, it is asked for once')
    .action((amount: string, asset: string, options: CommonOptions & { to: string; from: string; key?: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const { to, from, key } = options;
        const wanted = {
          amount,
          asset: asset.toUpperCase() as 'IO',
          source: from as 'earnings',
          addressId: to as PayoutAddressId,
        };
        const payout = await client.call('requestPayout', { body: wanted, idempotencyKey: key ?? randomUUID() });
        show(payout, () => payoutInWords(payout));
      }),
    );
  coded(leaf('confirm <id>', 'confirm a pay-out with a code')).action(
    (id: PayoutId, options: CommonOptions & { code: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const payout = await client.call('confirmPayout', { params: { payoutId: id }, body: { code: options.code } });
        show(payout, () => payoutInWords(payout));
      }),
  );
  leaf('cancel <id>', 'take back a pay-out that is not signed yet').action((id: PayoutId, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const payout = await client.call('cancelPayout', { params: { payoutId: id } });
      show(payout, () => payoutInWords(payout));
    }),
  );
}

function addressCommands(leaf: Leaf, terminal: Terminal): void {
  leaf('list', 'addresses that may be paid out to').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const addresses = await collect(client.list('listPayoutAddresses', {}));
      const rows = addresses.map(({ id, address, label, usableAt }) => [id, address, label, usableAt]);
      const none = 'none yet; `iocloud payout address add` allows one';
      show(addresses, () => (rows.length === 0 ? none : table(['id', 'address', 'label', 'from'], rows)));
    }),
  );
  coded(leaf('add <address>', 'allow the address of a wallet, from when its waiting time is over'))
    .option('--label <text>', 'for you to know it by', '')
    .action((address: string, options: CommonOptions & { code: string; label: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const { code, label } = options;
        const added = await client.call('addPayoutAddress', { body: { address, label, code } });
        show(added, () => `${added.id}: ${added.address} can be paid out to from ${added.usableAt} on`);
      }),
    );
  leaf('remove <id>', 'pay out to it no more').action((id: PayoutAddressId, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      await client.call('removePayoutAddress', { params: { addressId: id } });
      show({ removed: id }, () => `${id} was removed`);
    }),
  );
}

function scheduleCommands(leaf: Leaf, terminal: Terminal): void {
  coded(leaf('schedule <threshold>', 'pay earnings out by themselves, from so many IO on'))
    .requiredOption('--to <address-id>', 'one of `iocloud payout address list`')
    .option('--every <period>', 'hour or day', 'day')
    .action((threshold: string, options: CommonOptions & { to: string; every: string; code: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const { to, every, code } = options;
        const body = { threshold, addressId: to as PayoutAddressId, every: every as 'day', code };
        const set = await client.call('setPayoutSchedule', { body });
        show(
          set,
          () => `earnings from ${set.threshold} IO on go to ${set.addressId} each ${set.every}, next at ${set.nextAt}`,
        );
      }),
    );
  leaf('unschedule', 'pay earnings out only when asked').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      await client.call('dropPayoutSchedule');
      show({ scheduled: false }, () => 'earnings are paid out only when asked');
    }),
  );
}

function factorCommands(leaf: Leaf, terminal: Terminal): void {
  leaf('second-factor', 'make the second factor that confirms your pay-outs; then show its first code with --prove')
    .option('--code <digits>', 'of the present one, to replace it')
    .option('--prove <digits>', 'the first code of the new one')
    .action((options: CommonOptions & { code?: string; prove?: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const { code, prove } = options;
        const factor = prove
          ? await client.call('proveSecondFactor', { body: { code: prove } })
          : await client.call('makeSecondFactor', { body: code === undefined ? {} : { code } });
        const made = `add this to your authenticator, then \`iocloud payout second-factor --prove …\`:\n${factor.uri}`;
        show(factor, () => (factor.proven ? 'the second factor is in force' : made));
      }),
    );
  leaf('drop-second-factor <user>', 'for who has lost it, by user id (for operators)').action(
    (userId: UserId, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        await client.call('dropSecondFactor', { params: { userId } });
        show({ dropped: userId }, () => `${userId} has no second factor any more`);
      }),
  );
}
