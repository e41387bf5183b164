/** `iocloud token …`, `iocloud rewards`, `iocloud iosd …`: what is emitted, who gets it, and IO burned for IOSD. */
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { collect } from '../client.js';
import { facts } from '../output.js';
import { findNode } from './node.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';
import {
  emissionTable,
  estimateInWords,
  machineHourTable,
  parametersInWords,
  rewardTable,
  tokenInWords,
} from './token-render.js';

type Listed = CommonOptions & { limit: number };
const withLimit = (command: Command): Command =>
  command.option('--limit <n>', 'at most so many', argument(parseCount), 24);

export function tokenCommands(program: Command, terminal: Terminal): void {
  const token = program.command('token').description('the IO token: emission, supply, parameters');
  const leaf = (name: string, description: string) => withCommonOptions(token.command(name).description(description));
  leaf('status', 'schedule, supply and the parameters in force').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const status = await client.call('getToken');
      show(status, () => `${tokenInWords(status)}\n\n${parametersInWords(status.parameters)}`);
    }),
  );
  withLimit(leaf('emission', 'what each hour has emitted, newest first'))
    .option('--hour <n>', 'what the schedule has for this hour of it', argument(parseCount))
    .action((options: Listed & { hour?: number }) =>
      run(terminal, options, async ({ client, show }) => {
        if (options.hour !== undefined) {
          const hour = await client.call('getScheduledHour', { params: { hour: String(options.hour) } });
          return show(hour, () =>
            facts([
              ['hour', String(hour.hour)],
              ['amount', `${hour.amount} IO`],
              ['through', `${hour.through} IO`],
            ]),
          );
        }
        const hours = await collect(client.list('listEmission', {}, options.limit));
        show(hours, () => emissionTable(hours));
      }),
    );
  withLimit(leaf('parameters', 'versions of the parameters, newest first')).action((options: Listed) =>
    run(terminal, options, async ({ client, show }) => {
      const versions = await collect(client.list('listTokenVersions', {}, options.limit));
      show(versions, () => versions.map(parametersInWords).join('\n\n'));
    }),
  );
  leaf('estimate <model>', 'what accelerators of a model would have earned in the last rewarded hour')
    .option('--gpus <n>', 'so many', argument(parseCount), 1)
    .action((model: string, options: CommonOptions & { gpus: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const estimate = await client.call('estimateReward', { query: { model, gpus: options.gpus } });
        show(estimate, () => estimateInWords(estimate));
      }),
    );
  rewardsCommand(program, terminal);
  iosdCommands(program, terminal);
}

function rewardsCommand(program: Command, terminal: Terminal): void {
  withLimit(withCommonOptions(program.command('rewards').description('what you got of each hour, newest first')))
    .option('--node <node>', 'what a machine of yours was judged by, instead')
    .action((options: Listed & { node?: string }) =>
      run(terminal, options, async ({ client, show }) => {
        if (options.node !== undefined) {
          const { id: nodeId } = await findNode(client, options.node);
          const hours = await collect(client.list('listMachineHours', {}, options.limit, { nodeId }));
          return show(hours, () => machineHourTable(hours));
        }
        const rewards = await collect(client.list('listRewards', {}, options.limit));
        show(rewards, () => rewardTable(rewards));
      }),
    );
}

function iosdCommands(program: Command, terminal: Terminal): void {
  const iosd = program.command('iosd').description('IOSD, a dollar each: comes from burned IO alone');
  withCommonOptions(
    iosd.command('mint <amount>').description('burn so much IO for IOSD at the rate of IO; there is no way back'),
  )
    .option('--at-least <iosd>', 'not for less than that')
    .option('--key <key>', 'repeated with the same key, it happens once')
    .action((amount: string, options: CommonOptions & { atLeast?: string; key?: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const body = { amount, ...(options.atLeast === undefined ? {} : { atLeast: options.atLeast }) };
        const made = await client.call('mintIosd', { body, idempotencyKey: options.key ?? randomUUID() });
        show(made, () =>
          facts([
            ['burned', `${made.burned} IO`],
            ['minted', `${made.minted} IOSD`],
            ['one IO', `$${made.usdPerIo}`],
            ['transaction', String(made.transactionId)],
          ]),
        );
      }),
    );
}
