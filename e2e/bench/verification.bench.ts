/**
 * What verification costs and finds: the control plane's milliseconds for a proof, the seconds that it loads a device, and the
 * rates of docs/verification.md with more conversations than its tables have.
 */
import { createHash, randomInt } from 'node:crypto';
import { cpus, totalmem } from 'node:os';
import type { ProofWork } from '@iocloud/contracts';
import {
  type ChallengeContext,
  checkPass,
  drawSpots,
  passKey,
  rowsToOpen,
  spotsPerPass,
  wordsOf,
  workOfProcessors,
} from '@iocloud/control-plane/core/verification';
import { attackRates } from '@iocloud/control-plane/verification/testing';
import { median, percentile, rayVenv, report } from './measure.js';
import { Prover } from './verification/prover.js';

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const work = workOfProcessors(cpus().length, totalmem());
const context: ChallengeContext = {
  nodeId: 'nd_00000000000000000000',
  deviceKey: 'ssh-ed25519 bench',
  deviceUuid: 'processors',
  deviceModel: cpus()[0]?.model ?? 'unknown',
  hour: new Date().toISOString(),
  work,
  seed: createHash('sha256').update(String(process.hrtime.bigint())).digest('hex'),
};

/** A whole challenge, as the control plane gives it. */
async function challenge(
  prover: Prover,
  size: ProofWork,
): Promise<{ loadMs: number; passMs: number[]; checkMs: number[] }> {
  const startedAt = performance.now();
  const [passMs, checkMs]: [number[], number[]] = [[], []];
  let before = '';
  let checking = 0;
  await prover.begin(size);
  for (let pass = 0; pass <= size.passes; pass += 1) {
    const key = passKey(hash, context, pass, before);
    const { ms, root } = await prover.pass(pass, key);
    if (pass > 0) passMs.push(ms);
    const words = wordsOf(key);
    const spots = drawSpots(size, spotsPerPass, below => randomInt(below));
    const { openings } = await prover.ask({ type: 'open', rows: rowsToOpen(size, pass, words, spots) }, 'opened');
    const from = performance.now();
    const shown = openings.map(({ row, path }) => {
      const bytes = Buffer.from(row, 'base64');
      return { row: new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length), path: Buffer.from(path, 'base64') };
    });
    const fault = checkPass(hash, size, pass, words, [root, before], spots, shown);
    const took = performance.now() - from;
    if (fault !== null) throw new Error(`an honest device failed: ${fault}`);
    if (pass > 0) checkMs.push(took);
    checking += took;
    before = root;
  }
  return { loadMs: performance.now() - startedAt - checking, passMs, checkMs };
}

const prover = new Prover(rayVenv(), cpus().length);
const runs = [await challenge(prover, work), await challenge(prover, work), await challenge(prover, work)];
await prover.end();
const checks = runs.flatMap(run => run.checkMs);
const loads = runs.map(run => run.loadMs / 1_000);
const [verifierMs, loadSeconds] = [median(checks), Math.max(...loads)];
/** A challenge that failed is given once more in its hour. */
const worstLoadSeconds = 2 * loadSeconds;
const rates = await attackRates(40);
report('verification', {
  verifierMs: { median: verifierMs, p99: percentile(checks, 99), aim: 5, ratio: verifierMs / 5 },
  loadSecondsPerHour: { usual: median(loads), worst: worstLoadSeconds, aim: 36, ratio: worstLoadSeconds / 36 },
  passMs: { median: median(runs.flatMap(run => run.passMs)), max: Math.max(...runs.flatMap(run => run.passMs)) },
  ...rates,
});
