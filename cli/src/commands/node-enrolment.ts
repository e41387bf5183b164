/** `iocloud node add|approve|deny`: machines that join. */
import type { Enrolment } from '@iocloud/contracts';
import type { Command } from 'commander';
import { bytes, facts } from '../output.js';
import { CliError } from './exit.js';
import { addCommand } from './node-add.js';
import { type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

export function enrolmentDetails({ machine, fingerprint, address, userCode, progress }: Enrolment): string {
  const devices = machine.devices.map(({ model }) => model).join(', ');
  return facts([
    ['code', userCode],
    ['key', fingerprint],
    ['host', `${machine.hostname}, asking from ${address}`],
    ['machine', `${machine.os} ${machine.arch}, ${machine.cpus} × ${machine.cpuModel}`],
    ['memory', `${bytes(machine.memoryBytes)}, and ${bytes(machine.diskFreeBytes)} of disk free`],
    ['accelerators', devices || 'none'],
    ...progress.map(({ step, state, message }): [string, string] => [step, `${state}: ${message}`]),
  ]);
}

/** As typed or pasted, small letters and spaces too. */
const normalised = (text: string) => text.toUpperCase().replace(/[^A-Z]/g, '');

export function enrolmentCommands(group: Command, terminal: Terminal): void {
  addCommand(group, terminal);
  withCommonOptions(group.command('approve <code>').description('let the machine join that shows this code'))
    .option('--name <name>', 'of the machine; its host name where left out')
    .option('--shared', 'offer it to other tenants too')
    .option('-y, --yes', 'do not ask')
    .action((code: string, options: CommonOptions & { name?: string; shared?: boolean; yes?: boolean }) =>
      run(terminal, options, async ({ client, show, progress }) => {
        const params = { userCode: normalised(code) };
        const seen = await client.call('getEnrolment', { params });
        if (!options.yes) {
          if (!terminal.interactive) throw new CliError('usage', 'nobody is here to look at the machine: say --yes');
          progress(enrolmentDetails(seen));
          const answer = await terminal.ask('Is this your machine, and does it show this code and key? (yes/no): ');
          if (!/^y(es)?$/i.test(answer.trim()))
            throw new CliError('usage', 'not approved; `iocloud node deny` turns it away');
        }
        const body = { ...(options.name ? { name: options.name } : {}), shared: options.shared ?? false };
        const approved = await client.call('approveEnrolment', { params, body });
        show(
          approved,
          () => `approved as ${approved.nodeId}; it installs itself now: iocloud node show ${approved.nodeId}`,
        );
      }),
    );
  withCommonOptions(group.command('deny <code>').description('turn the machine away that shows this code')).action(
    (code: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const denied = await client.call('denyEnrolment', { params: { userCode: normalised(code) } });
        show(denied, () => `${denied.machine.hostname} is turned away`);
      }),
  );
}
