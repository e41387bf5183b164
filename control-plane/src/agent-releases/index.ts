/** Releases of the agent: published and signed, rolled out by waves, taken back. */
import { readFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import type { NodeId, StreamRequest } from '@iocloud/contracts';
import { type Config, ConfigError, type Database, type Http, type Logger, Recurring } from '../platform/index.js';
import { reported, step } from './fleet.js';
import { Grants } from './grace.js';
import { ensureFirstKey, keyInForce } from './keys.js';
import type { ReleaseWatch } from './ports.js';
import { publishDirectory } from './releases.js';
import { agentReleaseRoutes } from './routes.js';
import { Sender } from './sender.js';

export type { ReleaseWatch } from './ports.js';

const lookIntervalMs = 1_000;

interface Wiring {
  config: Pick<Config, 'agentReleaseDir' | 'agentReleaseKeyFile' | 'nodeLostSeconds'>;
  database: Database;
  log: Logger;
  random: (n: number) => Buffer;
  openStream(nodeId: NodeId, request: StreamRequest): Promise<Duplex>;
}

export function createAgentReleases({ config, database, log, random, openStream }: Wiring) {
  const grants = new Grants(() => performance.now());
  const sender = new Sender(database, openStream, config.nodeLostSeconds, log);
  const newAttempt = () => random(16).toString('hex');
  const recurring = new Recurring(
    'agent-releases',
    lookIntervalMs,
    async isStopped => {
      while (!isStopped() && (await step(database, newAttempt)));
      await grants.read(database);
      await sender.look();
    },
    error => log.warn({ err: error }, 'the roll-out could not be looked at; again soon'),
  );
  const watch: ReleaseWatch = {
    reported,
    graceSeconds: nodeId => grants.of(nodeId),
    beforeRefusal: (nodeId, open) => sender.sendTo(nodeId, open),
  };

  /** What the operator's files say: the key, and the release that joining machines install. */
  async function open(): Promise<void> {
    const { agentReleaseKeyFile: file, agentReleaseDir } = config;
    if (file === undefined) return;
    const text = await readFile(file, 'utf8').catch((error: Error) => {
      throw new ConfigError(`IOCLOUD_AGENT_RELEASE_KEY: ${error.message}`);
    });
    const wrong = await database.transaction(tx => ensureFirstKey(tx, text, file));
    if (wrong !== null) log.warn(wrong);
    if (agentReleaseDir === undefined) return;
    try {
      const made = await publishDirectory(database, agentReleaseDir);
      if (made === null)
        log.warn({ agentReleaseDir }, 'the agent that joining machines install is not signed: none can join');
    } catch (error) {
      log.warn(
        { agentReleaseDir, error: String(error) },
        'the agent that joining machines install cannot be published',
      );
    }
  }

  return {
    watch,
    open,
    keyInForce: () => keyInForce(database),
    routes: (http: Http) => agentReleaseRoutes(http, database, random),
    start: () => recurring.start(),
    stop: async () => {
      await recurring.stop();
      await sender.idle();
    },
  };
}
