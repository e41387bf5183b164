/**
 * The second process of the benchmark: all pretended machines and heads. The first one tells it by IPC what it shall be,
 * hears once a second how it does, and ends it by closing the channel.
 */
import type { NodeId } from '@iocloud/contracts';
import { PretendedHeads } from './pretended-heads.js';
import { PretendedMachine } from './pretended-machine.js';

export interface Orders {
  controlPlane: { host: string; port: number; hostKey: string };
  machines: { nodeId: NodeId; privateKey: string }[];
  /** Of all running jobs together. */
  linesPerSecond: number;
}

export interface Report {
  running: number;
  /** Connections that broke and were made again. */
  losses: number;
}

const turnMs = 100;
const quiet = () => undefined;
const log = {
  trace: quiet,
  debug: quiet,
  info: quiet,
  warn: (fields: object, line: string) => process.stderr.write(`${line}: ${JSON.stringify(fields)}\n`),
  error: (fields: object, line: string) => process.stderr.write(`${line}: ${JSON.stringify(fields)}\n`),
};

process.once('message', (orders: Orders) => {
  const heads = new PretendedHeads();
  const machines = orders.machines.map(
    machine => new PretendedMachine({ ...machine, controlPlane: orders.controlPlane, log: log as never }, heads),
  );
  for (const machine of machines) void machine.run();
  setInterval(() => heads.speak(Math.round((orders.linesPerSecond * turnMs) / 1_000)), turnMs);
  setInterval(() => {
    const report: Report = { running: heads.running, losses: machines.reduce((sum, { losses }) => sum + losses, 0) };
    process.send?.(report);
  }, 1_000);
});
process.on('disconnect', () => process.exit(0));
