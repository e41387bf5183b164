/**
 * What verification costs and finds: the control plane's milliseconds for a proof, the seconds that it loads a device, and the
 * rates of docs/verification.md with more conversations than its tables have.
 */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { cpus, totalmem } from 'node:os';
import type { ProofWork } from '@iocloud/contracts';
import { acceleratorOf } from '@iocloud/control-plane/core/matching';
import {
  type ChallengeContext,
  checkPass,
  dot,
  drawSpots,
  leafDigest,
  passKey,
  rootOf,
  rowsToOpen,
  spotsPerPass,
  wordsOf,
  workOf,
  workOfProcessors,
} from '@iocloud/control-plane/core/verification';
import { attackRates, sha256 } from '@iocloud/control-plane/verification/testing';
import { median, percentile, rayVenv, report } from './measure.js';
import { Prover } from './verification/prover.js';

const hash = sha256;
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

/** As many digests and multiplications as a pass of an H100 takes to check; its rows cannot be had here. */
function acceleratorCheckMs(): number {
  const model = acceleratorOf('h100-sxm');
  const size = model && workOf(model);
  if (!size) throw new Error('the table has no H100');
  const leaves = size.blocks * size.rowLength;
  const row = new Int8Array(randomBytes(size.rowLength));
  // Three siblings at each of the levels of a tree with four children a node.
  const path = randomBytes(32 * 3 * Math.ceil(Math.log(leaves) / Math.log(4)));
  const startedAt = performance.now();
  for (let opening = 0; opening < spotsPerPass * (1 + 2 * size.products); opening += 1) {
    rootOf(hash, { leaf: leafDigest(hash, row), index: randomInt(leaves), leaves, path });
  }
  for (let product = 0; product < spotsPerPass * size.products; product += 1) dot(row, row);
  return performance.now() - startedAt;
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
  verifierMs: {
    median: verifierMs,
    p99: percentile(checks, 99),
    accelerator: median(Array.from({ length: 30 }, acceleratorCheckMs)),
    aim: 5,
    ratio: verifierMs / 5,
  },
  loadSecondsPerHour: { usual: median(loads), worst: worstLoadSeconds, aim: 36, ratio: worstLoadSeconds / 36 },
  passMs: { median: median(runs.flatMap(run => run.passMs)), max: Math.max(...runs.flatMap(run => run.passMs)) },
  ...rates,
});
