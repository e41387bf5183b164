/** What every domain stands on: configuration, PostgreSQL, Redis, logs, metrics, HTTP. */
export { Batcher } from './batcher.js';
export { type Config, ConfigError, parseConfig } from './config.js';
export { addIds, currentIds, type Ids, withIds } from './context.js';
export { pagesOf } from './cursor.js';
export {
  afterCommit,
  appliedMigrations,
  Database,
  databaseState,
  isRefusedStatement,
  migrate,
  type Queryable,
  type Transaction,
  takeLock,
} from './database.js';
export { Destinations, hostOf, RefusedAddress } from './destinations.js';
export * from './http/index.js';
export { createLogger, type Logger } from './log.js';
export { groupsInOrderOf, inOrderOf, lookUp, together } from './look-up.js';
export {
  counter,
  Durations,
  gauge,
  mostFrequent,
  registry,
  sayVersion,
  setAll,
  waitBuckets,
  workBuckets,
} from './metrics.js';
export { provesKey, publicKeyLine } from './public-keys.js';
export { type LoopState, loopStates, Recurring, Turns } from './recurring.js';
export { Seal, Signer } from './seal.js';
export { loadSecrets, type Secrets } from './secrets.js';
export { type Signal, Signals } from './signals.js';
export { type EndedSpan, openSpanSink, type SpanSink } from './spans.js';
export { StateReader, type StateSource } from './state-reader.js';
export { faultOf, parseStated, readStated, type StatedFile } from './stated-file.js';
export { type Topic, type TopicHandler, Wakeups, wake, wakeAll } from './wakeups.js';
