/** What is asked for when somebody helps: one document of all that can be told without telling a secret. */
import { api, scrub } from '@iocloud/contracts';
import { latestOfAll } from '../events/index.js';
import {
  appliedMigrations,
  type Config,
  type Database,
  type Http,
  loopStates,
  registry,
  type Secrets,
  type StateReader,
} from '../platform/index.js';
import { shownConfig } from './shown-config.js';

interface Wiring {
  config: Config;
  secrets: Secrets;
  database: Database;
  version: string;
  state: Pick<StateReader, 'refresh'>;
  healthy: Record<string, () => Promise<boolean>>;
  now(): Date;
}

const mostEvents = 500;

export function supportRoutes(http: Http, { config, secrets, database, version, state, healthy, now }: Wiring): void {
  http.handle(api.supportReport, async () => {
    await state.refresh();
    const health = await Promise.all(Object.entries(healthy).map(async ([name, ask]) => [name, await ask()] as const));
    const report = {
      at: now().toISOString(),
      version,
      runtime: {
        node: process.version,
        platform: process.platform,
        arch: process.arch,
        uptimeSeconds: Math.round(process.uptime()),
      },
      configuration: shownConfig(config),
      health: Object.fromEntries(health),
      loops: loopStates(),
      migrations: await appliedMigrations(database),
      events: await latestOfAll(database, mostEvents),
      metrics: await registry.metrics(),
    };
    // Nothing of it should be secret; what should not be may be all the same.
    return withoutSecrets(report, secretsOf(config, secrets));
  });
}

/** Each text by itself, so that no secret's end is taken for that of the document. */
function withoutSecrets<T>(value: T, secrets: readonly string[]): T {
  if (typeof value === 'string') return scrub(value, secrets) as T;
  if (Array.isArray(value)) return value.map(one => withoutSecrets(one, secrets)) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutSecrets(one, secrets)])) as T;
}

function secretsOf(config: Config, { sessionSecret, sealKey, sshHostKey }: Secrets): string[] {
  const addresses = [config.databaseUrl, config.redisUrl, config.solanaRpcUrl, config.prometheusUrl];
  const passwords = addresses.flatMap(address => {
    const { password = '', username = '' } = address && URL.canParse(address) ? new URL(address) : {};
    return [decodeURIComponent(password), username.length > 20 ? username : ''];
  });
  const bytes = [sessionSecret, sealKey].flatMap(key => [
    key.toString('hex'),
    key.toString('base64'),
    key.toString('base64url'),
  ]);
  return [...passwords, ...bytes, sshHostKey.toString()].filter(secret => secret !== '');
}
