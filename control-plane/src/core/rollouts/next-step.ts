/** What a roll-out that runs does next. Nothing of it is remembered: waves follow from what has become of the machines. */
import type { NodeId, RolloutNodeState, RolloutTerms } from '@iocloud/contracts';

export interface FleetNode {
  nodeId: NodeId;
  /** Null: the roll-out has not come to it. */
  state: RolloutNodeState | null;
  /** It can be reached, its owner does not hold it, and it runs another release. */
  ready: boolean;
  /** Since the machine agreed to switch; null while it has not. */
  switchingSeconds: number | null;
  /** Since its turn came. */
  tryingSeconds: number;
}

export interface Step {
  /** Machines that are given up, with why. */
  failed: { nodeId: NodeId; reason: string }[];
  /** Why the roll-out stops, or null. */
  halt: string | null;
  /** The next wave. */
  begin: NodeId[];
}

/** Beyond what the machine itself takes until it goes back: it then has to start the old release and to connect. */
const returnSeconds = 60;
/** A machine that is not reached any more is no reason to stand still. */
const reachSeconds = 600;

/** `total`: machines of the fleet that can change their release. */
export function nextStep(terms: RolloutTerms, fleet: readonly FleetNode[], total: number): Step {
  const failed = fleet.flatMap(node => {
    const reason = node.state === 'trying' ? overdue(terms, node) : null;
    return reason === null ? [] : [{ nodeId: node.nodeId, reason }];
  });
  const count = (state: RolloutNodeState) => fleet.filter(node => node.state === state).length;
  const healthy = count('healthy');
  const bad = count('failed') + failed.length;
  if (bad > 0 && bad * 100 > terms.maxFailedPercent * (bad + healthy)) {
    const halt = `${bad} of ${bad + healthy} machines failed, and no more than ${terms.maxFailedPercent} % may`;
    return { failed, halt, begin: [] };
  }
  // A wave is over when each of its machines is: only then is it known what it says of the next.
  if (count('trying') > failed.length) return { failed, halt: null, begin: [] };
  const most = Math.max(1, Math.ceil((total * terms.batchPercent) / 100));
  const size = Math.min(most, Math.max(terms.canaries, healthy));
  const ready = fleet.filter(node => node.state === null && node.ready).map(({ nodeId }) => nodeId);
  return { failed, halt: null, begin: ready.sort().slice(0, size) };
}

function overdue({ healthySeconds }: RolloutTerms, { switchingSeconds, tryingSeconds }: FleetNode): string | null {
  if (switchingSeconds !== null && switchingSeconds > healthySeconds + returnSeconds) {
    return `it has not come back within ${healthySeconds + returnSeconds} s, neither with the new release nor with the old`;
  }
  return switchingSeconds === null && tryingSeconds > reachSeconds
    ? `it could not be given the release within ${reachSeconds} s`
    : null;
}
