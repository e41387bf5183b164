/** The faults: what strikes, what puts it right again, what must become of the job, and what says that it was noticed. */
import type { Lane } from './lane.js';

export interface Strike {
  lane: Lane;
  /** Index of the lane's machine that runs the job. */
  side: 0 | 1;
}

export interface Kind {
  /** As a Ray task on a worker of its own, or as a program with checkpoints. */
  job: 'program' | 'task';
  strike(at: Strike): unknown;
  heal(at: Strike): unknown;
  /** Of the job's attempts, in order. */
  outcomes: string[];
  /** The event that puts it on record, with the machine or with the cluster; null where nothing has failed. */
  noticedBy: { subject: 'machine' | 'cluster'; reason: string } | null;
}

const moved = ['lost', 'succeeded'];
const nothing = () => undefined;

function kill({ lane, side }: Strike, pattern: RegExp, but?: RegExp): void {
  const found = lane.machines[side]
    .processes()
    .filter(({ command }) => pattern.test(command) && !(but?.test(command) ?? false));
  if (found.length === 0) throw new Error(`nothing there to kill: ${pattern}`);
  for (const { pid } of found) process.kill(pid, 'SIGKILL');
}

const raylet = /\/raylet\/raylet /;
/** The head's address in its cluster: other raylets are workers'. */
const onHead = /--node_ip_address=127\.0\.0\.2 /;

export const kinds: Record<string, Kind> = {
  head: {
    job: 'program',
    strike: at => kill(at, /gcs_server/),
    heal: nothing,
    outcomes: moved,
    noticedBy: { subject: 'cluster', reason: 'HeadExited' },
  },
  machine: {
    job: 'program',
    strike: ({ lane, side }) => lane.machines[side].killAll(),
    heal: ({ lane, side }) => lane.machines[side].start(),
    outcomes: moved,
    noticedBy: { subject: 'machine', reason: 'NodeOffline' },
  },
  worker: {
    job: 'task',
    strike: at => kill(at, raylet, onHead),
    heal: nothing,
    outcomes: ['succeeded'],
    noticedBy: { subject: 'cluster', reason: 'WorkerExited' },
  },
  'cut off': {
    job: 'program',
    strike: ({ lane, side }) => {
      const machine = lane.machines[side];
      return machine.network ? machine.network.cut() : machine.signalAgent('SIGSTOP');
    },
    heal: ({ lane, side }) => {
      const machine = lane.machines[side];
      return machine.network ? machine.network.heal() : machine.signalAgent('SIGCONT');
    },
    outcomes: moved,
    noticedBy: { subject: 'machine', reason: 'NodeOffline' },
  },
  raylet: {
    job: 'program',
    strike: at => kill(at, raylet),
    heal: nothing,
    outcomes: moved,
    noticedBy: { subject: 'cluster', reason: 'HeadExited' },
  },
  agent: {
    job: 'program',
    strike: async ({ lane, side }) => {
      await lane.machines[side].killAgent();
      lane.machines[side].start();
    },
    heal: nothing,
    outcomes: ['succeeded'],
    noticedBy: null,
  },
  cluster: {
    job: 'program',
    strike: at => kill(at, /supervisor\.py/),
    heal: nothing,
    outcomes: moved,
    noticedBy: { subject: 'cluster', reason: 'HeadExited' },
  },
  drained: {
    job: 'program',
    strike: ({ lane, side }) => lane.drain(side, true),
    heal: ({ lane, side }) => lane.drain(side, false),
    outcomes: ['evicted', 'succeeded'],
    noticedBy: null,
  },
};
