/** What happens to tokens, as entries: emission, stakes, slashes, burning. Pure; docs/token.md says the same in words. */
import type { TenantId } from '@iocloud/contracts';
import { type Account, available, balanced, type Entry, earnings, moved, ofNetwork } from './entries.js';

export type StakeKind = 'stake' | 'unstaking' | 'slashed';
const ofStaker = (kind: StakeKind, tenantId: TenantId): Account => ({ kind, asset: 'IO', tenantId, hold: null });

export interface TenantAmount {
  tenantId: TenantId;
  amount: bigint;
}

/** New tokens: what the emission account gives is what has come into being. */
export const emissionEntries = (rewards: readonly TenantAmount[], rounding: bigint): Entry[] =>
  balanced([
    ...rewards.flatMap(({ tenantId, amount }) => moved(ofNetwork('emission', 'IO'), earnings(tenantId), amount)),
    ...moved(ofNetwork('emission', 'IO'), ofNetwork('rounding', 'IO'), rounding),
  ]);

export const stakeEntries = (tenantId: TenantId, from: 'available' | 'earnings', amount: bigint): Entry[] =>
  moved(from === 'available' ? available(tenantId, 'IO') : earnings(tenantId), ofStaker('stake', tenantId), amount);

export const unstakeEntries = (tenantId: TenantId, amount: bigint): Entry[] =>
  moved(ofStaker('stake', tenantId), ofStaker('unstaking', tenantId), amount);

export const cooledEntries = (tenantId: TenantId, amount: bigint): Entry[] =>
  moved(ofStaker('unstaking', tenantId), available(tenantId, 'IO'), amount);

export interface SlashedAmount extends TenantAmount {
  /** Where it is taken from; where it goes back to. */
  kind: StakeKind | 'available';
}
const sideOf = ({ kind, tenantId }: SlashedAmount): Account =>
  kind === 'available' ? available(tenantId, 'IO') : ofStaker(kind, tenantId);

export const slashEntries = (parts: readonly SlashedAmount[]): Entry[] =>
  balanced(parts.flatMap(part => moved(sideOf(part), ofStaker('slashed', part.tenantId), part.amount)));
export const unslashEntries = (parts: readonly SlashedAmount[]): Entry[] =>
  balanced(parts.flatMap(part => moved(ofStaker('slashed', part.tenantId), sideOf(part), part.amount)));
export const burnSlashedEntries = (parts: readonly TenantAmount[]): Entry[] =>
  balanced(
    parts.flatMap(({ tenantId, amount }) => moved(ofStaker('slashed', tenantId), ofNetwork('burned', 'IO'), amount)),
  );

/** IO is gone; of IOSD the emission account says how much is in circulation. */
export const iosdEntries = (tenantId: TenantId, ioUnits: bigint, iosdUnits: bigint): Entry[] =>
  balanced([
    ...moved(available(tenantId, 'IO'), ofNetwork('burned', 'IO'), ioUnits),
    ...moved(ofNetwork('emission', 'IOSD'), available(tenantId, 'IOSD'), iosdUnits),
  ]);
