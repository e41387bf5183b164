/** `iocloud price …`: market prices of accelerators. */
import type { IoRate, PriceVersion } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import type { Command } from 'commander';
import { collect } from '../client.js';
import { duration, facts, table } from '../output.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

const percent = (ppm: number | null): string => (ppm === null ? 'none offered' : `${(ppm / 10_000).toFixed(1)} %`);

export function priceTable(versions: readonly PriceVersion[]): string {
  if (versions.length === 0) return 'no model has a market price (docs/pricing.md)';
  return table(
    ['model', 'hour', 'usd per hour', 'before', 'in use', 'goes to'],
    versions.map(version => [
      version.model,
      `${version.validFrom.slice(0, 16)}Z`,
      usdInWords(version.microUsdPerGpuHour),
      usdInWords(version.beforeMicroUsd),
      percent(version.utilisationPpm),
      usdInWords(version.aimMicroUsd),
    ]),
  );
}

export function ioRateInWords({ usdPerIo, at, ageSeconds, usable, refusal, sources }: IoRate): string {
  const rate = usdPerIo === null ? 'not known' : `$${usdPerIo}${usable ? '' : ', too old to be counted with'}`;
  const head: [string, string][] = [
    ['one IO', rate],
    ['of', at === null || ageSeconds === null ? '' : `${at}, ${duration(ageSeconds * 1_000)} ago`],
    ...(refusal === null ? [] : [['refused', refusal] as [string, string]]),
  ];
  const rows = sources.map(source => [
    source.name,
    source.verdict,
    source.usdPerIo ?? source.reason ?? '',
    source.at ?? '',
  ]);
  return `${facts(head)}${rows.length === 0 ? '' : `\n\n${table(['source', 'verdict', 'usd', 'at'], rows)}`}`;
}

export function priceCommands(program: Command, terminal: Terminal): void {
  const price = program.command('price').description('market prices of accelerators, made each hour');
  const leaf = (name: string, description: string) => withCommonOptions(price.command(name).description(description));
  leaf('list', 'the price of each model now').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const { items: versions } = await client.call('listPrices');
      show(versions, () => priceTable(versions));
    }),
  );
  leaf('io', 'what an IO token is worth, and what each source says').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const rate = await client.call('getIoRate');
      show(rate, () => ioRateInWords(rate));
    }),
  );
  leaf('history <model>', 'the prices of a model, newest first')
    .option('--limit <n>', 'at most so many hours', argument(parseCount), 24)
    .action((model: string, options: CommonOptions & { limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const versions = await collect(
          client.list('listPriceVersions', { limit: Math.min(options.limit, 1_000) }, options.limit, { model }),
        );
        show(versions, () => priceTable(versions));
      }),
    );
}
