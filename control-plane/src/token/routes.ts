/** The token rules over HTTP. A tenant sees and moves what is its own; slashes are the operators'. */
import { api, type NodeId, parseUnits, type TenantId, unitsInWords } from '@iocloud/contracts';
import { once } from '../accounts/index.js';
import { type Call, Failure, type Http } from '../platform/index.js';
import { beginOf } from './emission.js';
import { listHours, listMachineHours, listRewards, type RewardPlace } from './hours.js';
import { burnForIosd } from './iosd.js';
import { getProposal, listProposals } from './proposal-list.js';
import { propose, vote } from './proposals.js';
import { changeSettings, settingsOf } from './settings.js';
import { getSlash, listSlashes } from './slash-list.js';
import { appeal, decide, slash } from './slashes.js';
import { addStake, listStakes, listUnstakings, removeStake } from './stakes.js';
import { minimumStakes } from './standing.js';
import { estimateReward, tokenStatus } from './status.js';
import { listVersions } from './versions.js';
import type { TokenWiring } from './wiring.js';

export function tokenRoutes(http: Http, wiring: TokenWiring): void {
  emissionRoutes(http, wiring);
  stakeRoutes(http, wiring);
  slashRoutes(http, wiring);
  proposalRoutes(http, wiring);
}

const above = (after: string | undefined) => (after === undefined ? 2 ** 31 - 1 : Number(after));
const io = (units: bigint) => unitsInWords(units, 'IO');
const nextOf = <T>(items: readonly T[], limit: number, place: (item: T) => string) => {
  const last = items.at(-1);
  return items.length === limit && last !== undefined ? place(last) : null;
};

/** The contract has let through only what can be read. */
function unitsOf(amount: string): bigint {
  const units = parseUnits(amount, 'IO');
  if (units === null) throw new RangeError(`${amount} is no amount of IO`);
  return units;
}

function demandKey(idempotency: Call<never>['idempotency']): string {
  if (idempotency) return idempotency.key;
  throw new Failure(
    'bad-request',
    'this call moves tokens: send an Idempotency-Key, and the same one when repeating it',
  );
}

function emissionRoutes(http: Http, wiring: TokenWiring): void {
  const { database, genesis, schedule } = wiring;
  // Without a genesis no hour is on record.
  const begins = (hour: number) => beginOf(genesis ?? new Date(0), hour);

  http.handle(api.getToken, async () => tokenStatus(database, wiring));
  http.handle(api.getScheduledHour, async ({ params: { hour } }) => {
    if (hour > schedule.hours) throw new Failure('not-found', `the schedule has ${schedule.hours} hours`);
    return { hour, amount: io(schedule.amount(hour)), through: io(schedule.through(hour)) };
  });
  http.handle(api.listEmission, async ({ query }) => {
    const items = await listHours(database, begins, above(query.after), query.limit);
    return { items, next: nextOf(items, query.limit, ({ hour }) => String(hour)) };
  });
  http.handle(api.listTokenVersions, async ({ query }) => {
    const items = await listVersions(database, above(query.after), query.limit);
    return { items, next: nextOf(items, query.limit, ({ version }) => String(version)) };
  });
  http.handle(api.listRewards, async ({ caller, query }) => {
    const items = await listRewards(database, caller.tenantId, begins, rewardPlace(query.after), query.limit);
    return { items, next: nextOf(items, query.limit, ({ hour, kind, nodeId }) => `${hour} ${kind} ${nodeId ?? ''}`) };
  });
  http.handle(api.listMachineHours, async ({ caller, params, query }) => {
    const items = await listMachineHours(database, caller.tenantId, params.nodeId, above(query.after), query.limit);
    // What was its own in an hour it may read though it is not any more.
    if (items.length === 0 && (await wiring.machines.ownerOf(database, params.nodeId)) !== caller.tenantId) {
      throw new Failure('not-found', `no machine ${params.nodeId} of yours in any hour`);
    }
    return { items, next: nextOf(items, query.limit, ({ hour }) => String(hour)) };
  });
  http.handle(api.estimateReward, async ({ query }) => estimateReward(database, wiring, query));
  http.handle(api.mintIosd, async ({ caller, body, idempotency }) => {
    const { tenantId, userId: actor } = caller;
    const wanted = {
      key: demandKey(idempotency),
      tenantId,
      actor,
      amount: unitsOf(body.amount),
      atLeast: body.atLeast,
    };
    return database.transaction(tx => once(tx, caller, idempotency, () => burnForIosd(tx, wiring, wanted)));
  });
}

function rewardPlace(after: string | undefined): RewardPlace | null {
  if (after === undefined) return null;
  const [hour = '', kind = '', nodeId = ''] = after.split(' ');
  return { hour: Number(hour), kind, nodeId };
}

function stakeRoutes(http: Http, wiring: TokenWiring): void {
  const { database } = wiring;
  const minimumOf = (nodeIds: NodeId[]) => minimumStakes(database, wiring, nodeIds);

  http.handle(api.listStakes, async ({ caller }) => ({
    items: await listStakes(database, caller.tenantId, minimumOf),
    next: null,
  }));
  http.handle(api.stakeTokens, async ({ caller, body, idempotency }) => {
    const { tenantId, userId: actor } = caller;
    const { nodeId, from } = body;
    const wanted = { key: demandKey(idempotency), tenantId, actor, nodeId, from, amount: unitsOf(body.amount) };
    return database.transaction(tx =>
      once(tx, caller, idempotency, async () => {
        await addStake(tx, wiring, wanted);
        const stakes = await listStakes(tx, tenantId, ids => minimumStakes(tx, wiring, ids), nodeId);
        const own = stakes.find(({ role }) => role !== 'received');
        if (!own) throw new Error(`a stake of ${tenantId} on ${nodeId} was not kept`);
        return own;
      }),
    );
  });
  http.handle(api.unstakeTokens, async ({ caller, body, idempotency }) => {
    const { tenantId, userId: actor } = caller;
    const wanted = { key: demandKey(idempotency), tenantId, actor, nodeId: body.nodeId, amount: unitsOf(body.amount) };
    return database.transaction(tx => once(tx, caller, idempotency, () => removeStake(tx, wiring, wanted)));
  });
  http.handle(api.listUnstakings, async ({ caller, query }) => {
    const items = await listUnstakings(database, caller.tenantId, query.after, query.limit);
    return { items, next: nextOf(items, query.limit, ({ id }) => id) };
  });
  http.handle(api.getTokenSettings, async ({ caller }) => settingsOf(database, caller.tenantId));
  http.handle(api.changeTokenSettings, async ({ caller, body }) =>
    database.transaction(tx => changeSettings(tx, wiring, caller.tenantId, body)),
  );
}

function slashRoutes(http: Http, wiring: TokenWiring): void {
  const { database } = wiring;
  http.handle(api.listSlashes, async ({ caller, query }) => {
    if (query.all && !caller.permissions.has('ledger:read')) {
      throw new Failure('permission-denied', 'slashes of others take the permission ledger:read, which your key lacks');
    }
    const whose: TenantId | null = query.all ? null : caller.tenantId;
    const items = await listSlashes(database, whose, query.after, query.limit);
    return { items, next: nextOf(items, query.limit, ({ id }) => id) };
  });
  http.handle(api.slashStake, async ({ caller, body, idempotency }) => {
    demandKey(idempotency);
    const { nodeId, reason, evidence } = body;
    const wanted = {
      nodeId,
      reason,
      evidence,
      amount: unitsOf(body.amount),
      verificationId: null,
      actor: caller.userId,
    };
    return database.transaction(tx =>
      once(tx, caller, idempotency, async () => getSlash(tx, null, await slash(tx, wiring, wanted))),
    );
  });
  http.handle(api.appealSlash, async ({ caller, params: { slashId }, body }) =>
    database.transaction(async tx => {
      await appeal(tx, wiring, caller.tenantId, slashId, body.reason);
      return getSlash(tx, caller.tenantId, slashId);
    }),
  );
  http.handle(api.decideSlash, async ({ caller, params: { slashId }, body }) =>
    database.transaction(async tx => {
      await decide(tx, slashId, body.decision, body.reason, caller.userId);
      return getSlash(tx, null, slashId);
    }),
  );
}

function proposalRoutes(http: Http, wiring: TokenWiring): void {
  const { database } = wiring;
  http.handle(api.listProposals, async ({ caller, query }) => {
    const items = await listProposals(database, caller.tenantId, query.after, query.limit);
    return { items, next: nextOf(items, query.limit, ({ id }) => id) };
  });
  http.handle(api.getProposal, async ({ caller, params }) => getProposal(database, caller.tenantId, params.proposalId));
  http.handle(api.createProposal, async ({ caller, body, idempotency }) => {
    const { tenantId } = caller;
    return database.transaction(tx =>
      once(tx, caller, idempotency, async () =>
        getProposal(tx, tenantId, await propose(tx, wiring, { tenantId, ...body })),
      ),
    );
  });
  http.handle(api.castVote, async ({ caller, params: { proposalId }, body }) =>
    database.transaction(async tx => {
      await vote(tx, wiring, { tenantId: caller.tenantId, actor: caller.userId }, proposalId, body.vote);
      return getProposal(tx, caller.tenantId, proposalId);
    }),
  );
}
