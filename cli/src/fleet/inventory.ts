/** Which machines shall join: words of the command line and lines of a file. Pure. */
import { CliError } from '../commands/exit.js';
import type { TermOptions } from '../commands/node-terms.js';
import { parseDollars } from '../commands/quantities.js';

export interface Target {
  /** As the operator wrote it; by it a later run knows the machine again. */
  key: string;
  /** Null: as ssh's configuration has it, or the name of who runs this. */
  user: string | null;
  host: string;
  port: number | null;
  /** What the machine is called once it has joined. */
  name: string;
  shared: boolean;
  identity: string | null;
  /** What `iocloud node set` would be told. */
  terms: TermOptions;
  /** Options of the program that joins, with their values. */
  install: string[];
}

export const inventoryHelp = `
A file for --inventory has a machine a line, and comments after #:

  root@gpu-1.example          name=gpu-1 country=DE region=eu-central gpu-price=2.50
  ops@gpu-2.example:2222      shared compliance=soc2,gdpr cpus=64
  gpu-3                       # as ~/.ssh/config has it, with its jump host, say

  [user@]host[:port]          an IPv6 address in brackets: [2001:db8::1]:22
  name=, shared               what it is called (else as the host); offered to other tenants too
  user=, port=, identity=     how to log in (identity: file of a private key)
  country= region= at= domain= connectivity= interconnect= fabric= compliance= relay= gpu-price= cpu-price=
                              as \`iocloud node set\` takes them
  dir= cpus= memory-bytes= isolation= container-image= ray-environment=
                              as install.sh takes them
Values have no spaces.`;

const installKeys = ['dir', 'cpus', 'memory-bytes', 'isolation', 'container-image', 'ray-environment'];
const termKeys = [
  'country',
  'region',
  'at',
  'domain',
  'connectivity',
  'interconnect',
  'fabric',
  'compliance',
  'relay',
] as const;
const prices = { 'gpu-price': 'gpuPrice', 'cpu-price': 'cpuPrice' } as const;

/** Throws CliError 'usage' that names the place. */
export function parseTarget(words: readonly string[], place: string): Target {
  const [key = '', ...settings] = words;
  const wrong = (what: string) => new CliError('usage', `${place}: ${what}`);
  // A host that begins with a dash would be an option of ssh's.
  const match = /^(?:([\w.][\w.$-]*)@)?(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9_][\w.-]*))(?::(\d+))?$/.exec(
    key,
  );
  if (!match) throw wrong(`"${key}" is no [user@]host[:port]`);
  const host = match[2] ?? match[3] ?? '';
  const target: Target = {
    key,
    user: match[1] ?? null,
    host,
    port: match[4] === undefined ? null : portOf(match[4], wrong),
    name: (match[4] === undefined ? host : `${host}-${match[4]}`).replaceAll(':', '-').slice(0, 63),
    shared: false,
    identity: null,
    terms: {},
    install: [],
  };
  for (const setting of settings) apply(target, setting, wrong);
  return target;
}

function apply(target: Target, setting: string, wrong: (what: string) => CliError): void {
  if (setting === 'shared') {
    target.shared = true;
    return;
  }
  const at = setting.indexOf('=');
  const [name, value] = at < 0 ? [setting, ''] : [setting.slice(0, at), setting.slice(at + 1)];
  if (value === '') throw wrong(`"${setting}" is neither shared nor a setting such as name=gpu-1`);
  if (name === 'name' && value.length <= 63) target.name = value;
  else if (name === 'name') throw wrong('a name has at most 63 characters');
  else if (name === 'user' && /^[\w.][\w.$-]*$/.test(value)) target.user = value;
  else if (name === 'port') target.port = portOf(value, wrong);
  else if (name === 'identity') target.identity = value;
  else if (installKeys.includes(name)) target.install.push(`--${name}`, value);
  else if (termKeys.includes(name as never)) target.terms[name as (typeof termKeys)[number]] = value;
  else if (Object.hasOwn(prices, name)) target.terms[prices[name as keyof typeof prices]] = priceOf(value, name, wrong);
  else throw wrong(`there is no setting ${name}=; \`iocloud node add --help\` has those there are`);
}

function portOf(text: string, wrong: (what: string) => CliError): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw wrong(`${text} is no port`);
  return port;
}

function priceOf(text: string, name: string, wrong: (what: string) => CliError): number {
  try {
    return parseDollars(text);
  } catch (error) {
    throw wrong(`${name}=: ${(error as Error).message}`);
  }
}

/** Throws CliError 'usage' with file and line. */
export function parseInventory(text: string, file: string): Target[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const words = line
      .replace(/(^|\s)#.*$/, '')
      .split(/\s+/)
      .filter(word => word !== '');
    return words.length === 0 ? [] : [parseTarget(words, `${file}, line ${index + 1}`)];
  });
}

/** Throws CliError 'usage' where a machine, or a name, is there twice. */
export function refuseTwins(targets: readonly Target[]): void {
  for (const field of ['key', 'name'] as const) {
    const seen = new Set<string>();
    for (const target of targets) {
      if (seen.has(target[field])) {
        throw new CliError('usage', `${target[field]} is there twice${field === 'name' ? ': say name=' : ''}`);
      }
      seen.add(target[field]);
    }
  }
}
