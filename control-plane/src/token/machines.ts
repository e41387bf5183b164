/** The machines of an hour, as the split takes them. */
import type { NodeId, TenantId } from '@iocloud/contracts';
import type { MachineFacts } from '../core/token/index.js';
import type { Queryable } from '../platform/index.js';
import { settingsOfAll } from './settings.js';
import { stakesThroughout } from './stakes.js';
import type { TokenWiring } from './wiring.js';

export async function machinesOf(
  db: Queryable,
  { machines, proofs }: Pick<TokenWiring, 'machines' | 'proofs'>,
  from: Date,
  until: Date,
): Promise<MachineFacts[]> {
  const found = await machines.inHour(db, from, until);
  const passed = await proofs.passed(db, from);
  const settings = await settingsOfAll(db);
  const stakes = new Map<NodeId, { stakerId: TenantId; amount: bigint }[]>();
  for (const { nodeId, stakerId, amount } of await stakesThroughout(db, from, until)) {
    const all = stakes.get(nodeId) ?? [];
    all.push({ stakerId, amount });
    stakes.set(nodeId, all);
  }
  return found.map(({ nodeId, ownerId, devices, onlineSeconds }) => {
    const staked = stakes.get(nodeId) ?? [];
    return {
      nodeId,
      supplierId: ownerId,
      devices: devices.map(({ uuid, model }) => ({ uuid, model, verified: passed.get(nodeId)?.has(uuid) ?? false })),
      onlineSeconds,
      ownStake: staked.find(({ stakerId }) => stakerId === ownerId)?.amount ?? 0n,
      delegations: staked.filter(({ stakerId }) => stakerId !== ownerId),
      delegationPpm: settings.get(ownerId)?.delegationPpm ?? null,
      referrerId: settings.get(ownerId)?.referrerId ?? null,
    };
  });
}
