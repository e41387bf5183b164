/**
 * The same arrivals and departures on kube-scheduler, with KWOK's nodes, and on our core: nodes of 8 devices of 8 models,
 * pods of 1 to 8, 60 % in use. By hand only, since it builds Kubernetes the first time:
 *
 *     node e2e/dist/bench/kube-scheduler.bench.js [nodes …]        (1,000 when none is said)
 */
import { loadavg } from 'node:os';
import { binaries, versions } from './kube/binaries.js';
import { ControlPlane, settings } from './kube/control-plane.js';
import { createNodes, measurePeer, waiting } from './kube/load.js';
import { models, nodeShape, perGpu, sizes, standingShare } from './kube/mix.js';
import { measureOurs } from './kube/ours.js';
import { report } from './measure.js';

const limitMs = 6 * 60_000;
const window = { warmS: 10, windowS: 60 };
const oursS = 10;

const sizesOfFleet = process.argv.slice(2).map(Number);
if (sizesOfFleet.some(nodes => !Number.isInteger(nodes) || nodes < models.length)) {
  throw new Error(`usage: kube-scheduler.bench.js [nodes …], each a whole number from ${models.length}`);
}
// Leaving by exit() ends what was started and removes what was written: see ControlPlane.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code));

const built = await binaries();
for (const nodes of sizesOfFleet.length > 0 ? sizesOfFleet : [1_000]) {
  const limit = setTimeout(() => {
    process.stderr.write(`${nodes} nodes: not done within ${limitMs / 60_000} minutes\n`);
    process.exit(1);
  }, limitMs);
  const loadBefore = loadavg()[0];
  const ours = measureOurs(nodes, oursS);
  const plane = await ControlPlane.start(built);
  try {
    await createNodes(plane, nodes);
    const peer = await measurePeer(plane, nodes, window);
    report('kube-scheduler', {
      peer: `kube-scheduler ${versions.kubernetes}, etcd ${versions.etcd}, KWOK ${versions.kwok}`,
      nodes,
      mix: { models: models.length, nodeShape, perGpu, sizes, standingShare, waiting },
      settings,
      ours,
      kube: peer,
      ratio: ours.perSecond / peer.perSecond,
      /** Our decisions, takes and releases against nothing but the peer's filtering and scoring. */
      ratioToAlgorithmAlone: (ours.perSecond * peer.algorithmMs) / 1_000,
      loadAverageBefore: loadBefore,
    });
  } finally {
    await plane.stop();
    clearTimeout(limit);
  }
}
