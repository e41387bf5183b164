/** Terms of queueing: as options of `iocloud tenant queue set`, and as people read them. Pure; throws CliError 'usage'. */
import type { QueueAmounts, QueueTerms, TenantQueue } from '@iocloud/contracts';
import type { Command } from 'commander';
import { bytes, facts, table } from '../output.js';
import { CliError } from './exit.js';
import { parseAmount, parseMemory } from './quantities.js';
import { argument } from './run.js';

/** `none` takes back what was said. */
export interface QueueTermOptions {
  weight?: number;
  quota?: QueueAmounts | 'none';
  cohort?: string;
  borrow?: QueueAmounts | 'none';
}

const example = 'expected such as gpus=8,cpus=64,memory=512GiB, or none';

/** As typed: `gpus=8,cpus=64,memory=512GiB`, each at most once, or `none`. */
export function parseQueueAmounts(text: string): QueueAmounts | 'none' {
  if (text === 'none') return text;
  const amounts: QueueAmounts = {};
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=');
    const typed = pair.slice(0, at).trim();
    const value = pair.slice(at + 1).trim();
    if (at < 1 || value === '') throw new CliError('usage', `"${pair}" is no key=value; ${example}`);
    const key = Object.hasOwn(resourceKeys, typed) ? resourceKeys[typed] : undefined;
    if (!key) throw new CliError('usage', `unknown resource ${typed}; ${example}`);
    if (amounts[key] !== undefined) throw new CliError('usage', `${typed} is given twice in "${text}"`);
    amounts[key] = key === 'memoryBytes' ? parseMemory(value) : parseAmount(value);
  }
  return amounts;
}

const resourceKeys: Record<string, keyof QueueAmounts> = { gpus: 'gpus', cpus: 'cpus', memory: 'memoryBytes' };
const resourceNames = Object.entries(resourceKeys);

export function withQueueTermOptions(command: Command): Command {
  const amounts = argument(parseQueueAmounts);
  return command
    .option('--weight <number>', 'its share of what is scarce, in proportion to the others’ (1)', argument(parseAmount))
    .option('--quota <amounts>', 'what it is sure of, such as gpus=8,cpus=64,memory=512GiB', amounts)
    .option('--cohort <name>', 'tenants of one cohort lend each other what they leave of their quotas')
    .option('--borrow <amounts>', 'the most that it borrows above its quota, such as gpus=4', amounts)
    .addHelpText(
      'after',
      '\n`none` takes back what was said, as in --quota none. What is not named stays, but --quota and --borrow are' +
        '\neach set as a whole, and --cohort none takes the limit on borrowing with it.',
    );
}

/** The terms as they shall be, from those that are. Values are checked by the contract. */
export function changedQueueTerms(before: QueueTerms, options: QueueTermOptions): QueueTerms {
  const { weight, quota, cohort, borrow } = options;
  if (weight === undefined && quota === undefined && cohort === undefined && borrow === undefined) {
    throw new CliError('usage', 'nothing to change; `iocloud tenant queue set --help`');
  }
  const limit = borrow ?? (cohort === 'none' ? 'none' : before.borrowingLimit);
  return {
    weight: weight ?? before.weight,
    quota: quota === 'none' ? null : (quota ?? before.quota),
    cohort: cohort === 'none' ? null : (cohort ?? before.cohort),
    borrowingLimit: limit === 'none' ? {} : limit,
  };
}

const inWords = (resource: keyof QueueAmounts, amount: number) =>
  resource === 'memoryBytes' ? bytes(amount) : String(amount);

function mayBorrow({ quota, cohort, borrowingLimit }: QueueTerms, resource: keyof QueueAmounts): string {
  if (quota?.[resource] === undefined) return '';
  if (cohort === null) return 'nothing';
  const most = borrowingLimit[resource];
  return most === undefined ? 'what others leave' : inWords(resource, most);
}

const limits = (terms: QueueTerms, resource: keyof QueueAmounts) => {
  const quota = terms.quota?.[resource];
  return [quota === undefined ? 'not limited' : inWords(resource, quota), mayBorrow(terms, resource)];
};

export function queueTermsInWords(terms: QueueTerms): string {
  const lines = facts([
    ['weight', String(terms.weight)],
    ['cohort', terms.cohort ?? ''],
  ]);
  const rows = resourceNames.map(([name, resource]) => [name, ...limits(terms, resource)]);
  return `${lines}\n\n${table(['resource', 'quota', 'may borrow'], rows)}`;
}

export function tenantQueueInWords({ tenantId, terms, held, running, waiting }: TenantQueue): string {
  const lines = facts([
    ['tenant', tenantId],
    ['jobs', `${running} on clusters, ${waiting} in the queue`],
    ['weight', String(terms.weight)],
    ['cohort', terms.cohort ?? ''],
  ]);
  const rows = resourceNames.map(([name, resource]) => [
    name,
    inWords(resource, held[resource]),
    ...limits(terms, resource),
  ]);
  return `${lines}\n\n${table(['resource', 'held', 'quota', 'may borrow'], rows)}`;
}
