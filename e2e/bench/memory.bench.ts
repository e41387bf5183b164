/** (e) Memory of the control plane and of the agent, a minute after the start with nothing to do. */
import { readFileSync } from 'node:fs';
import { type Part, Stack } from '../src/harness/index.js';
import { report } from './measure.js';

const idleMs = 60_000;

/** MiB: resident, and proportional (shared pages counted by share). */
function memory(pid: number): { rssMiB: number; pssMiB: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]);
  return { rssMiB: kib('Rss') / 1024, pssMiB: kib('Pss') / 1024 };
}

const stack = await Stack.start();
try {
  await new Promise(resolve => setTimeout(resolve, idleMs));
  const of = async (part: Part) => memory((await stack.part(part)).pid);
  report('memory', {
    controlPlane: await of('control plane'),
    agent: await of('agent'),
    aim: { controlPlaneMiB: 150, agentMiB: 60 },
  });
} finally {
  await stack.stop();
}
