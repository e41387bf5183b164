/** What a machine's owner says of it: as options of `iocloud node set`, and as lines of `iocloud node show`. */
import type { changeNodeTerms, Node } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import type { Command } from 'commander';
import type { z } from 'zod';
import { CliError } from './exit.js';
import { parseDollars } from './quantities.js';
import { argument } from './run.js';

type Changes = z.input<typeof changeNodeTerms>;

/** As typed; `none` takes back what was said. */
export interface TermOptions {
  country?: string;
  region?: string;
  at?: string;
  domain?: string;
  connectivity?: string;
  interconnect?: string;
  fabric?: string;
  compliance?: string;
  relay?: string;
  plainProcesses?: string;
  gpuPrice?: number;
  pricing?: string;
  cpuPrice?: number;
}

export function withTermOptions(command: Command): Command {
  return command
    .option('--country <code>', 'where it stands: ISO 3166-1 alpha-2, such as DE')
    .option('--region <name>', 'the area, such as eu-central')
    .option('--at <lat,lon>', 'where it stands, in degrees, such as 50.11,8.68')
    .option('--domain <name>', 'site or rack that fails as one')
    .option('--connectivity <tier>', 'low, medium, high or ultra: 10, 100, 1,000 or 10,000 Mbit/s both ways')
    .option(
      '--interconnect <kind>',
      'between its accelerators: pcie, or nvlink for direct links (NVLink, Infinity Fabric)',
    )
    .option('--fabric <kind>', 'to other machines: ethernet, roce or infiniband')
    .option('--compliance <list>', 'certificates: soc2, hipaa, gdpr, iso27001, e2e-encrypted')
    .option(
      '--relay <address:port>',
      'where it can be reached by UDP from everywhere, there and at the next port: it then helps and relays for machines behind NAT',
    )
    .option(
      '--plain-processes <yes|no>',
      "whether other tenants' code may run here without containers, where it sees the machine's files",
    )
    .option('--gpu-price <usd>', 'price of an accelerator for an hour, in dollars', argument(parseDollars))
    .option('--pricing <own|market>', 'market: the market price of its accelerators, and never less than --gpu-price')
    .option('--cpu-price <usd>', 'price of a logical CPU for an hour, in dollars', argument(parseDollars))
    .addHelpText('after', '\n`none` takes back what was said, as in --country none. What is not named stays.');
}

/** Throws CliError 'usage'. Values are checked by the contract. */
export function changedTerms(options: TermOptions): Changes {
  const changes: Record<string, unknown> = {
    country: cleared(options.country?.toUpperCase()),
    region: cleared(options.region),
    coordinates: coordinates(options.at),
    domain: cleared(options.domain),
    connectivity: cleared(options.connectivity),
    interconnect: cleared(options.interconnect),
    fabric: cleared(options.fabric),
    compliance: options.compliance === 'none' ? [] : options.compliance?.split(',').map(item => item.trim()),
    relayAddress: cleared(options.relay),
    plainProcesses: yesOrNo(options.plainProcesses),
    gpuPricing: options.pricing as Changes['gpuPricing'],
    microUsdPerGpuHour: options.gpuPrice,
    microUsdPerCpuHour: options.cpuPrice,
  };
  const named = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
  if (Object.keys(named).length === 0) throw new CliError('usage', 'nothing to change; `iocloud node set --help`');
  return named as Changes;
}

function yesOrNo(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text === 'yes') return true;
  if (text === 'no' || text === 'none') return false;
  throw new CliError('usage', `--plain-processes: "${text}" is neither yes nor no`);
}

const cleared = (text: string | undefined) => (text?.toLowerCase() === 'none' ? null : text);

function coordinates(text: string | undefined): Changes['coordinates'] {
  if (text === undefined || text === 'none') return text === undefined ? undefined : null;
  const match = /^(-?\d+(?:\.\d+)?),\s*(-?\d+(?:\.\d+)?)$/.exec(text);
  if (!match) throw new CliError('usage', `--at: "${text}" is no latitude and longitude such as 50.11,8.68`);
  return { latitudeDeg: Number(match[1]), longitudeDeg: Number(match[2]) };
}

export function connectionInWords({
  terms,
  measured,
  connectivity,
}: Pick<Node, 'terms' | 'measured' | 'connectivity'>): string {
  const stated = terms.connectivity === null ? 'nothing stated' : `stated ${terms.connectivity}`;
  if (measured === null) return `${connectivity} (${stated}, not measured yet)`;
  const { roundTripMs, downloadMbps, uploadMbps, at } = measured;
  const rates = `${downloadMbps} Mbit/s to it, ${uploadMbps} from it, round trip ${roundTripMs} ms`;
  return `${connectivity} (${stated}; measured ${rates}, last at ${at})`;
}

export function termLines({
  terms,
  microUsdPerGpuHour,
}: Pick<Node, 'terms' | 'microUsdPerGpuHour'>): [string, string][] {
  const { coordinates: at } = terms;
  const place = [terms.country, terms.region, terms.domain, at && `${at.latitudeDeg},${at.longitudeDeg}`];
  const network = [terms.interconnect, terms.fabric];
  const lines: [string, string][] = [
    ['place', place.filter(Boolean).join(', ')],
    ['network', network.filter(Boolean).join(', ')],
    ['certificates', terms.compliance.join(', ')],
    ['relays at', terms.relayAddress ?? ''],
    ['plain processes', terms.plainProcesses ? "allowed for other tenants' code" : ''],
  ];
  const market =
    terms.gpuPricing === 'market' ? ` (the market's, and at least $${usdInWords(terms.microUsdPerGpuHour)})` : '';
  const price = `$${usdInWords(microUsdPerGpuHour)} per accelerator and hour${market}, $${usdInWords(terms.microUsdPerCpuHour)} per CPU and hour`;
  return [...lines.filter(([, words]) => words !== ''), ['price', price]];
}
