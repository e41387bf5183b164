/** `iocloud quote`: what an order would cost. */
import type { Quote, QuoteId } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import type { Command } from 'commander';
import { facts } from '../output.js';
import { requirementsOf } from './cluster-spec.js';
import { collectPairs, parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

const ioInWords = (units: string) => `${units.slice(0, -8) || '0'}.${units.slice(-8).padStart(8, '0')}`;

export function quoteInWords(quote: Quote): string {
  const { request, factors, alternatives } = quote;
  const usd = (amount: number) => `$${usdInWords(amount)}`;
  return facts([
    ['total', `${usd(quote.totalMicroUsd)} for ${request.gpus} × ${quote.model}, ${request.hours} h`],
    [
      'in IO',
      quote.io ? `${ioInWords(quote.io.units)} IO at $${quote.io.usdPerIo}` : 'no rate, see `iocloud price io`',
    ],
    ['per hour', `${usd(quote.microUsdPerHour)}, ${usd(quote.microUsdPerGpuHour)} per accelerator`],
    ['market price', `${usd(quote.marketMicroUsd)} (${quote.priceVersionId})`],
    ...factors.map(({ reason, ppm }): [string, string] => [reason, `× ${ppm / 1_000_000}`]),
    ...alternatives.map(({ model, microUsdPerGpuHour }): [string, string] => [
      `or ${model}`,
      `${usd(microUsdPerGpuHour)} per accelerator`,
    ]),
    ['valid until', quote.validUntil],
    ['id', quote.id],
  ]);
}

interface QuoteOptions extends CommonOptions {
  gpus: number;
  hours: number;
  commit: number;
  spot?: boolean;
  require?: Record<string, string>;
}

export function quoteCommands(program: Command, terminal: Terminal): void {
  withCommonOptions(program.command('quote [id]').description('what accelerators would cost, before they are ordered'))
    .option('--gpus <n>', 'accelerators in all', argument(parseCount), 1)
    .option('--hours <n>', 'for how long', argument(parseCount), 1)
    .option('--commit <hours>', 'of these hours, what is paid for in any case', argument(parseCount), 0)
    .option('--spot', 'may be stopped for more urgent work')
    .option(
      '--require <key=value>',
      'what the machines must be, as of `iocloud cluster create`: accelerator=A100 or compliance=soc2 (repeatable)',
      collectPairs,
    )
    .action((id: string | undefined, options: QuoteOptions) =>
      run(terminal, options, async ({ client, show }) => {
        if (id !== undefined) {
          const kept = await client.call('getQuote', { params: { quoteId: id as QuoteId } });
          return show(kept, () => quoteInWords(kept));
        }
        const { gpus, hours, commit, spot = false } = options;
        const requirements = options.require ? await requirementsOf(options.require) : {};
        const body = { requirements, gpus, hours, commitmentHours: commit, spot };
        const made = await client.call('createQuote', { body });
        show(made, () => quoteInWords(made));
      }),
    );
}
