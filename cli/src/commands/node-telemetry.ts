/** `iocloud node telemetry`: what a machine and its accelerators are doing. */
import type { Node, NodeTelemetry } from '@iocloud/contracts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { age, bytes, duration, facts, table } from '../output.js';
import { parseSeconds } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

/** A sample that is older says nothing of now; one comes each half minute. */
const newestMs = 120_000;

const percent = (share: number | null) => (share === null ? '-' : `${Math.round(100 * share)} %`);
const degrees = (celsius: number | null) => (celsius === null ? '-' : `${Math.round(celsius)} °C`);

export function telemetryDetails(node: Pick<Node, 'name'>, sample: NodeTelemetry, nowMs: number): string {
  const { machine, devices } = sample;
  const traffic = (count: number | null) => (count === null ? '-' : bytes(count));
  const parts = [
    facts([
      ['machine', `${node.name}, ${age(sample.at, nowMs)} ago`],
      ['processors', `${percent(machine.cpuUsage)} busy, load ${machine.load1.toFixed(1)}`],
      ['memory', `${bytes(machine.memoryAvailableBytes)} available`],
      ['disk', `${bytes(machine.diskFreeBytes)} of ${bytes(machine.diskTotalBytes)} free`],
      ['network', `${traffic(machine.receivedBytes)} received, ${traffic(machine.sentBytes)} sent since it booted`],
      [
        'agent',
        `${bytes(machine.agentMemoryBytes)} of memory, ${machine.agentCpuSeconds.toFixed(1)} s of processor time`,
      ],
    ]),
  ];
  if (devices.length === 0) return [...parts, 'no accelerator of it can be measured'].join('\n\n');
  parts.push(
    table(
      ['device', 'busy', 'memory', 'temperature', 'power', 'slowed by', 'memory errors', 'xid'],
      devices.map(device => [
        String(device.index),
        percent(device.utilization),
        device.memoryUsedBytes === null ? '-' : bytes(device.memoryUsedBytes),
        degrees(device.temperatureCelsius),
        powerInWords(device),
        device.throttled === null ? '-' : device.throttled.join(', ') || 'nothing',
        device.eccCorrected === null ? '-' : `${device.eccCorrected} corrected, ${device.eccUncorrected ?? '-'} not`,
        xidsInWords(device.xids),
      ]),
    ),
  );
  return parts.join('\n\n');
}

function powerInWords({ powerWatts, powerLimitWatts }: NodeTelemetry['devices'][number]): string {
  if (powerWatts === null) return '-';
  return `${Math.round(powerWatts)}${powerLimitWatts === null ? '' : ` of ${Math.round(powerLimitWatts)}`} W`;
}

function xidsInWords(xids: Record<string, number> | null): string {
  if (xids === null) return '-';
  return (
    Object.entries(xids)
      .map(([number, count]) => `${count} × ${number}`)
      .join(', ') || 'none'
  );
}

export function telemetryTable(samples: readonly NodeTelemetry[], nowMs: number): string {
  const most = (values: (number | null)[]) =>
    values.reduce<number | null>((high, value) => (value === null ? high : Math.max(high ?? value, value)), null);
  return table(
    ['age', 'processors', 'memory available', 'busiest device', 'hottest device'],
    samples.map(({ at, machine, devices }) => [
      age(at, nowMs),
      percent(machine.cpuUsage),
      bytes(machine.memoryAvailableBytes),
      percent(most(devices.map(({ utilization }) => utilization))),
      degrees(most(devices.map(({ temperatureCelsius }) => temperatureCelsius))),
    ]),
  );
}

export function telemetryCommand(
  group: Command,
  terminal: Terminal,
  findNode: (client: Client, reference: string) => Promise<Node>,
): void {
  withCommonOptions(group.command('telemetry <node>').description('what it and its accelerators are doing'))
    .option('--since <time>', 'all samples of so long, such as 30m; without it the newest', argument(parseSeconds))
    .action((reference: string, options: CommonOptions & { since?: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const node = await findNode(client, reference);
        const sinceMs = options.since === undefined ? newestMs : options.since * 1_000;
        const after = new Date(terminal.now() - sinceMs).toISOString();
        const samples = await collect(client.list('nodeTelemetry', { after }, undefined, { nodeId: node.id }));
        const newest = samples.at(-1);
        const none = `nothing was heard of ${node.name} in the last ${duration(sinceMs)}; it is ${node.state}`;
        if (options.since !== undefined) show(samples, () => telemetryTable(samples, terminal.now()));
        else show(newest ?? null, () => (newest ? telemetryDetails(node, newest, terminal.now()) : none));
      }),
    );
}
