/** `iocloud billing show | set`: how a tenant's money stands beside what it runs, what it pays in, and its caps. */
import type { Asset, ChangeBilling } from '@iocloud/contracts';
import type { Command } from 'commander';
import { billingInWords } from './billing-render.js';
import { CliError } from './exit.js';
import { parseAsset } from './ledger.js';
import { parseDollars } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import { findTenant } from './tenant.js';
import type { Terminal } from './terminal.js';

interface Whose extends CommonOptions {
  tenant?: string;
}

interface SetOptions extends Whose {
  paysIn?: Asset[];
  dayCap?: number | 'none';
  monthCap?: number | 'none';
}

const parseCap = (text: string): number | 'none' => (text === 'none' ? text : parseDollars(text));

function parseAssets(text: string): Asset[] {
  return text.split(',').map(name => parseAsset(name.trim()));
}

export function changeOf({ paysIn, dayCap, monthCap }: SetOptions): ChangeBilling {
  if (paysIn === undefined && dayCap === undefined && monthCap === undefined) {
    throw new CliError('usage', 'nothing to change; `iocloud billing set --help`');
  }
  const limit = (cap: number | 'none') => (cap === 'none' ? null : cap);
  return {
    ...(paysIn === undefined ? {} : { paysIn }),
    ...(dayCap === undefined ? {} : { dayCapMicroUsd: limit(dayCap) }),
    ...(monthCap === undefined ? {} : { monthCapMicroUsd: limit(monthCap) }),
  };
}

export function billingCommands(program: Command, terminal: Terminal): void {
  const billing = program.command('billing').description('what runs costs, for how long your money lasts, spend caps');
  const leaf = (name: string, description: string) =>
    withCommonOptions(billing.command(name).description(description)).option(
      '--tenant <tenant>',
      'of this tenant, by name or id (for operators)',
    );
  const queryOf = async (client: Parameters<typeof findTenant>[0], { tenant }: Whose) =>
    tenant === undefined ? {} : { tenantId: await findTenant(client, tenant) };
  leaf('show', 'orders with what is held for them, what is spent, and for how long the rest lasts').action(
    (options: Whose) =>
      run(terminal, options, async ({ client, show }) => {
        const found = await client.call('getBilling', { query: await queryOf(client, options) });
        show(found, () => billingInWords(found));
      }),
  );
  leaf('set', 'change what is paid in, and the most that may be spent')
    .option('--pays-in <assets>', 'such as IO,USDC: the first that covers an order pays for it', argument(parseAssets))
    .option('--day-cap <usd>', 'of usage before fees, in a day (UTC); none takes it back', argument(parseCap))
    .option('--month-cap <usd>', 'of usage before fees, in a month (UTC); none takes it back', argument(parseCap))
    .addHelpText('after', '\nWhat would pass a cap is not started; what runs is stopped in order when it is reached.')
    .action((options: SetOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const body = changeOf(options);
        const changed = await client.call('changeBilling', { query: await queryOf(client, options), body });
        show(changed, () => billingInWords(changed));
      }),
    );
}
