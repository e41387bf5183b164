import { api } from '@iocloud/contracts';
import type { Database, Http } from '../platform/index.js';
import * as keys from './keys.js';
import * as releases from './releases.js';
import * as rollouts from './rollouts.js';

export function agentReleaseRoutes(http: Http, database: Database, random: (n: number) => Uint8Array): void {
  http.handle(api.listAgentReleases, async ({ query }) => {
    const items = await releases.releases(database, query.after, query.limit);
    return { items, next: items.length === query.limit ? String(items.at(-1)?.serial ?? '') : null };
  });

  http.handle(api.publishAgentRelease, async ({ caller, body }) =>
    database.transaction(async tx => {
      const made = await releases.publish(tx, { ...body, archive: Buffer.from(body.archive, 'base64') });
      const message = `${caller.userId} published the agent ${made.version} (serial ${made.serial})`;
      await rollouts.tell(tx, caller, 'AgentReleasePublished', message);
      return made;
    }),
  );

  http.handle(api.listAgentReleaseKeys, async () => ({
    items: (await keys.keys(database)).map(keys.shownKey),
    next: null,
  }));

  http.handle(api.rotateAgentReleaseKey, async ({ caller, body }) =>
    database.transaction(async tx => {
      const made = await keys.rotate(tx, body);
      await rollouts.tell(
        tx,
        caller,
        'AgentReleaseKeyRotated',
        `${caller.userId} made ${made.fingerprint} the release key`,
      );
      return made;
    }),
  );

  http.handle(api.listRollouts, async ({ query }) => {
    const items = await rollouts.rollouts(database, query.after, query.limit);
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });
  http.handle(api.getRollout, ({ params }) => rollouts.rolloutOf(database, params.rolloutId));
  http.handle(api.listRolloutNodes, async ({ params, query }) => {
    const items = await rollouts.rolloutNodes(database, params.rolloutId, query.after ?? '', query.limit);
    return { items, next: items.length === query.limit ? (items.at(-1)?.nodeId ?? null) : null };
  });

  http.handle(api.startRollout, ({ caller, body }) =>
    database.transaction(tx => rollouts.start(tx, caller, random, body)),
  );
  http.handle(api.pauseRollout, ({ caller, params }) =>
    database.transaction(tx => rollouts.pause(tx, caller, params.rolloutId)),
  );
  http.handle(api.resumeRollout, ({ caller, params }) =>
    database.transaction(tx => rollouts.resume(tx, caller, params.rolloutId)),
  );
  http.handle(api.rollBackRollout, ({ caller, params }) =>
    database.transaction(tx => rollouts.rollBack(tx, caller, random, params.rolloutId)),
  );
}
