/** How far a machine is with joining, told to a program: `iocloud node add` reads these lines over SSH. */
import type { Writable } from 'node:stream';
import type { JoinReport } from '@iocloud/contracts';

export type Tell = (report: JoinReport) => void;

const aliveIntervalMs = 3_000;

/**
 * Lines of JSON, and one each few seconds where there is no news. When nobody reads any more, as when the connection over
 * which this runs has broken, the process ends: whoever comes back starts it again, and it goes on with what is there.
 */
export function jsonLines(output: Writable): { tell: Tell; end(): void } {
  const tell: Tell = report => void output.write(`${JSON.stringify(report)}\n`);
  for (const stream of [output, process.stderr]) stream.on('error', () => process.exit(1));
  const alive = setInterval(() => tell({ event: 'alive' }), aliveIntervalMs);
  return { tell, end: () => clearInterval(alive) };
}
