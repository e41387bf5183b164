/** What a cluster may cost, how long it may run and how it stands to others: options of `cluster create` and `update`. */
import type { ChangeCluster, Cluster, PriorityClass } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import type { Command } from 'commander';
import { CliError } from './exit.js';
import { parseDollars, parseSeconds } from './quantities.js';

export interface LimitOptions {
  budget?: string;
  until?: string;
  for?: string;
  priority?: PriorityClass;
  preemptible?: string | boolean;
  waitForMachines?: boolean;
}

type Limits = Pick<ChangeCluster, 'budgetMicroUsd' | 'until' | 'priority' | 'preemptible' | 'waitForMachines'>;

export const withLimitOptions = (command: Command): Command =>
  command
    .option('--budget <usd>', 'stop it before it has cost more, in dollars at the prices of its machines; or none')
    .option('--until <time>', 'stop it by then: ISO 8601 with its zone, such as 2026-12-01T00:00Z; or none')
    .option('--for <time>', 'the same, from now on: 90m or 8h')
    .option('--priority <class>', 'low, normal, high or urgent: of clusters that wait for a machine, who gets it first')
    .option(
      '--preemptible [yes]',
      'it may be stopped for urgent work, other tenants’ too, when no job that must not be stopped is on it; or false',
    )
    .option('--wait-for-machines', 'take it even though no enrolled machine meets what it requires');

/** Only what is given. The contract checks the values. Throws CliError 'usage'. */
export function limitsOf(options: LimitOptions, nowMs: number): Limits {
  if (options.until !== undefined && options.for !== undefined) {
    throw new CliError('usage', '--until and --for say the same: give one of them');
  }
  const until = options.for === undefined ? instant(options.until) : later(parseSeconds(options.for), nowMs);
  const limits = {
    budgetMicroUsd: options.budget === 'none' ? null : options.budget && budgetOf(options.budget),
    until,
    priority: options.priority,
    preemptible: yes(options.preemptible),
    waitForMachines: options.waitForMachines,
  };
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}

function budgetOf(text: string): number {
  const microUsd = parseDollars(text);
  if (microUsd === 0) throw new CliError('usage', '--budget: it must be more than 0; none takes it back');
  return microUsd;
}

const later = (seconds: number, nowMs: number) => new Date(nowMs + seconds * 1_000).toISOString();

/** Written out in full, as the contract has it. */
function instant(text: string | undefined): string | null | undefined {
  if (text === undefined || text === 'none') return text === undefined ? undefined : null;
  const hasZone = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/i.test(text);
  const time = Date.parse(text);
  if (!hasZone || Number.isNaN(time)) {
    throw new CliError('usage', `--until: "${text}" is no time with its zone such as 2026-12-01T00:00Z`);
  }
  return new Date(time).toISOString();
}

function yes(text: string | boolean | undefined): boolean | undefined {
  if (typeof text !== 'string') return text;
  if (text === 'true' || text === 'false') return text === 'true';
  throw new CliError('usage', `--preemptible: expected true or false, not "${text}"`);
}

/** Lines of `iocloud cluster show`. */
export function limitLines({ spec, microUsdPerHour, spentMicroUsd, endsAt }: Cluster): [string, string][] {
  const { budgetMicroUsd: budget, until } = spec;
  const ofBudget = budget === null ? '' : ` of a budget of $${usdInWords(budget)}`;
  const why = until !== null && endsAt !== null && Date.parse(until) <= Date.parse(endsAt) ? 'its time' : 'its budget';
  return [
    ['price', `$${usdInWords(microUsdPerHour)} an hour now, $${usdInWords(spentMicroUsd)} spent${ofBudget}`],
    ...(endsAt === null ? [] : ([['ends', `${endsAt}, when ${why} is over`]] as [string, string][])),
    ['priority', `${spec.priority}${spec.preemptible ? ', may be stopped for urgent work' : ''}`],
  ];
}
