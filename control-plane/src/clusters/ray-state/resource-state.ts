/**
 * What a cluster's Ray says of itself: `ray.rpc.autoscaler.AutoscalerStateService` of its GCS, the interface that Ray's
 * own autoscalers read and drain nodes by (src/ray/protobuf/autoscaler.proto in Ray's repository).
 *
 * Measured on Ray 2.60.0, head and worker by plain `ray start`, token authentication on:
 * - `GetClusterResourceState` answers in 1 to 1.5 ms with 0.4 KB a node: what each node has in all and free, its state and
 *   for how long it has been idle (to Ray a node is busy while a task or actor runs, or an object is held there), and all
 *   that waits: tasks and actors by shape with their number, placement groups whole; and what programs request. A change shows within 1.5 s.
 * - `DrainNode` with the reason `idle termination` is accepted (20 ms) only while nothing runs on the node; from then on
 *   nothing is scheduled there, and its raylet ends by itself. Asked again, or of a node that is dead, it accepts as well.
 * - On the dashboard's port `/api/cluster_status` tells the same less well: its monitor writes it every 5 s, `idleTimeMap`
 *   stays null, and the names of resources come back in camel case. `/nodes?view=summary` has no demand, `/api/v0/tasks`
 *   lists every task, and nothing there drains a node.
 * - A wrong token is refused with status 16.
 */
import type { Bundle, Demand, Gang } from '../../core/autoscaling/index.js';
import { field, Message } from './protobuf.js';

export interface RayNodeState {
  rayNodeId: string;
  /** What its `ray start` was told in RAY_CLOUD_INSTANCE_ID: the lease. */
  instanceId: string;
  /** And in RAY_NODE_TYPE_NAME: the group. */
  group: string;
  status: 'running' | 'idle' | 'draining' | 'dead';
  /** Ray's resources, name to amount: CPU, GPU, memory (bytes), object_store_memory (bytes), custom ones. */
  total: Record<string, number>;
  available: Record<string, number>;
  /** 0 unless idle. */
  idleMs: number;
}

export interface ResourceState extends Demand {
  nodes: RayNodeState[];
}

const statuses: Record<number, RayNodeState['status']> = { 1: 'running', 2: 'dead', 3: 'idle', 4: 'draining' };

/** Reads a `GetClusterResourceStateReply`. Throws RangeError for anything else. */
export function readResourceState(reply: Buffer): ResourceState {
  const state = new Message(reply).message(1);
  return {
    nodes: state.messages(3).map(readNode),
    waiting: state.messages(4).map(readCounted),
    gangs: state.messages(5).map(readGang),
    requested: state.messages(6).flatMap(constraint => constraint.messages(1).map(readCounted)),
  };
}

function readNode(node: Message): RayNodeState {
  return {
    rayNodeId: node.bytes(1).toString('hex'),
    instanceId: node.text(2),
    group: node.text(3),
    status: statuses[node.number(8)] ?? 'running',
    total: node.amounts(5),
    available: node.amounts(4),
    idleMs: node.number(9),
  };
}

const readCounted = (entry: Message) => ({ bundle: readBundle(entry.message(1)), count: entry.number(2) });

function readBundle(request: Message): Bundle {
  const selectors = request.messages(3).flatMap(selector => selector.messages(1));
  return {
    resources: request.amounts(1),
    labels: selectors.map(condition => ({
      key: condition.text(1),
      negated: condition.number(2) === 2,
      values: condition.texts(3),
    })),
  };
}

function readGang(gang: Message): Gang {
  const requests = gang.messages(1);
  const constraints = requests.flatMap(request => request.messages(2));
  const has = (kind: number) => constraints.some(constraint => constraint.bytes(kind).length > 0);
  return { bundles: requests.map(readBundle), strategy: has(1) ? 'strict-spread' : has(2) ? 'strict-pack' : 'any' };
}

const idleTermination = 1;

/** A `DrainNodeRequest`: refused by Ray unless the node is idle. */
export function drainIdleRequest(rayNodeId: string, why: string): Buffer {
  return Buffer.concat([field(1, Buffer.from(rayNodeId, 'hex')), field(2, idleTermination), field(3, why)]);
}

/** Reads a `DrainNodeReply`. */
export function readDrainReply(reply: Buffer): { accepted: boolean; reason: string } {
  const message = new Message(reply);
  return { accepted: message.number(1) === 1, reason: message.text(2) };
}
