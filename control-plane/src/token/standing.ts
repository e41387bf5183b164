/** How much of the least stake machines have: what placement prefers them by. */
import type { NodeId } from '@iocloud/contracts';
import { minimumStake, stakeShare } from '../core/token/index.js';
import type { Queryable } from '../platform/index.js';
import { stakeOn } from './stakes.js';
import { versionAt } from './versions.js';
import { type TokenWiring, timeOf } from './wiring.js';

/** 0 to 1 for each machine on which anything is staked. */
export async function stakeShares(
  db: Queryable,
  machines: readonly { nodeId: NodeId; models: readonly string[] }[],
): Promise<Map<NodeId, number>> {
  const stakes = await stakeOn(
    db,
    machines.map(({ nodeId }) => nodeId),
  );
  if (stakes.size === 0) return new Map();
  const { parameters } = await versionAt(db, await timeOf({}, db));
  return new Map(
    machines.flatMap(({ nodeId, models }) => {
      const staked = stakes.get(nodeId);
      return staked === undefined ? [] : [[nodeId, stakeShare(staked, minimumStake(parameters, models))] as const];
    }),
  );
}

/** Least stake for each of these machines, as they are now. */
export async function minimumStakes(
  db: Queryable,
  wiring: Pick<TokenWiring, 'machines' | 'now'>,
  nodeIds: NodeId[],
): Promise<Map<NodeId, bigint>> {
  if (nodeIds.length === 0) return new Map();
  const { parameters } = await versionAt(db, await timeOf(wiring, db));
  const models = await wiring.machines.modelsOf(db, nodeIds);
  return new Map([...models].map(([nodeId, names]) => [nodeId, minimumStake(parameters, names)]));
}
