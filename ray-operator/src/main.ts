/** The operator as a process, configured by its environment. */
import { ConfigError, parseConfig } from './config.js';
import { connect } from './kubernetes/connection.js';
import { createLogger } from './log.js';
import { startOperator } from './operator.js';

/** After so long a stop is no longer graceful. */
const stopDeadlineMs = 10_000;

try {
  const config = parseConfig(process.env);
  const log = createLogger(config.logLevel);
  const operator = await startOperator(config, await connect(process.env), log);
  let stopping = false;
  const stop = (why: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, 'stopping');
    setTimeout(() => process.exit(1), stopDeadlineMs).unref();
    operator.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'the stop failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  log.info({ identity: config.identity, metricsPort: operator.metricsPort }, 'started');
} catch (error) {
  const text = error instanceof ConfigError ? error.message : `cannot start: ${String(error)}`;
  process.stderr.write(`ray-operator: ${text}\n`);
  process.exit(1);
}
