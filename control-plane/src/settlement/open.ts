/** Settlement as the control plane starts it: whole where it is configured, and else only the routes that say so. */
import { operatorTenants } from '../accounts/index.js';
import { type Config, ConfigError, type Database, type Http, type Logger, type Seal } from '../platform/index.js';
import { settlementRoutes } from './routes.js';
import type { World } from './world.js';

interface Wiring {
  config: Pick<Config, 'solanaRpcUrl' | 'settlementFile' | 'settlementKeystore' | 'settlementPassphraseFile'>;
  database: Database;
  seal: Seal;
  log: Logger;
  nowMs(): number;
  random(n: number): Uint8Array;
}

export interface OpenSettlement {
  routes(http: Http): void;
  start(): void;
  stop(): Promise<void>;
}

/** Throws ConfigError in one line. What speaks Solana is loaded only where it is wanted. */
export async function openSettlement(wiring: Wiring): Promise<OpenSettlement> {
  const { database, seal, nowMs, random, log } = wiring;
  const world = await openWorld(wiring);
  const sweep = world && (await import('./turn.js')).settlementSweep(world, log);
  return {
    routes: http => settlementRoutes(http, { database, seal, nowMs, random }, world),
    start: () => sweep?.start(),
    stop: async () => sweep?.stop(),
  };
}

async function openWorld({ config, database, log, random }: Wiring): Promise<World | null> {
  const { solanaRpcUrl, settlementFile, settlementKeystore, settlementPassphraseFile } = config;
  if (solanaRpcUrl === undefined) return null;
  const needs = {
    IOCLOUD_SETTLEMENT_FILE: settlementFile,
    IOCLOUD_SETTLEMENT_KEYSTORE: settlementKeystore,
    IOCLOUD_SETTLEMENT_PASSPHRASE_FILE: settlementPassphraseFile,
  };
  const missing = Object.entries(needs).flatMap(([key, value]) => (value === undefined ? [key] : []));
  if (!settlementFile || !settlementKeystore || !settlementPassphraseFile) {
    throw new ConfigError(`SOLANA_RPC_URL is set, so ${missing.join(' and ')} must be too (docs/settlement.md)`);
  }
  const { loadTerms } = await import('./terms.js');
  const { keystoreSigner } = await import('./signer.js');
  const { bindIdentity } = await import('./identity.js');
  const { Chain } = await import('./chain/rpc.js');
  const terms = await loadTerms(settlementFile);
  const signer = await keystoreSigner(settlementKeystore, settlementPassphraseFile);
  const identity = await bindIdentity(database, signer, terms);
  const chain = new Chain(solanaRpcUrl);
  return { database, chain, signer, terms, log, random, operators: operatorTenants, ...identity };
}
