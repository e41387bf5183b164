/**
 * Records how long passes of a proof take on this machine's processors, as a module for the control plane's
 * core/verification/recorded/: `node e2e/dist/bench/verification/record.js [PASSES [CPUS [REMARK]]]` on a machine with nothing else
 * to do, or with priority over what else it does: said in the remark. (Where Linux schedules by
 * session, `nice` gives none: `setsid sh -c 'echo -20 > /proc/self/autogroup; exec taskset -c 1 node …'`.)
 */
import { spawn } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { workOfProcessors } from '@iocloud/control-plane/core/verification';
import { rayVenv } from '../measure.js';
import { Prover } from './prover.js';

const venv = rayVenv();
const count = Number(process.argv[2] ?? 120);
const processors = cpus();
const used = Number(process.argv[3] ?? processors.length);
const remark = process.argv[4] ? `; ${process.argv[4]}` : '';
const work = workOfProcessors(used, totalmem());
/** Passes go on from 1 in a program that keeps only two layers. */
const number = (pass: number) => 1 + (pass % 60);

async function passes(prover: Prover, times: number): Promise<number[]> {
  const found: number[] = [];
  for (let pass = 0; pass < times; pass += 1) found.push(Math.round((await prover.pass(number(pass))).ms));
  return found;
}

async function withProver<T>(use: (prover: Prover) => Promise<T>): Promise<T> {
  const prover = new Prover(venv, used);
  await prover.begin(work);
  await prover.pass(0);
  const result = await use(prover);
  await prover.end();
  return result;
}

const before = loadavg();
const quietMs = await withProver(prover => passes(prover, count));

/** Works for 10 of every 20 ms. */
const half = `import time
while True:
    end = time.perf_counter() + 0.01
    while time.perf_counter() < end: pass
    time.sleep(0.01)`;
const neighbour = spawn(`${venv}/bin/python`, ['-c', half], { stdio: 'ignore' });
const neighbourMs = await withProver(prover => passes(prover, Math.ceil(count / 2)));
neighbour.kill();

const sharedMs = (
  await Promise.all([0, 1].map(() => withProver(prover => passes(prover, Math.ceil(count / 4)))))
).flat();

const machine = `${processors.length} CPUs, ${Math.round(totalmem() / 2 ** 30)} GiB, virtual, Linux ${release()}; load average before ${before
  .map(load => load.toFixed(1))
  .join(', ')}${remark}`;
const model = processors[0]?.model ?? 'unknown';
process.stdout.write(
  [
    "import type { Recorded } from '../recorded.js';",
    '',
    'export const recording: Recorded = ',
    JSON.stringify({
      model,
      cpus: used,
      work,
      machine,
      date: new Date().toISOString().slice(0, 10),
      quietMs,
      neighbourMs,
      sharedMs,
      slowest: 1.6,
    }),
    ';\n',
  ].join('\n'),
);
