/** The control plane as a process: `node dist/main.js`, configured by the environment. */
import { ConfigError, createLogger, parseConfig } from './platform/index.js';
import { startServer } from './server.js';

/** After so long a stop is no longer graceful. Milliseconds. */
const stopDeadlineMs = 8_000;

try {
  const config = parseConfig(process.env);
  const log = createLogger(config.logLevel);
  const server = await startServer(config, log);
  let stopping = false;
  const stop = (why: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, 'stopping');
    setTimeout(() => process.exit(1), stopDeadlineMs).unref();
    server.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'the stop failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  // The launcher's channel: when it closes, the launcher has died, and nobody would restart or stop this process.
  process.on('disconnect', () => stop('the launcher is gone'));
  process.send?.({ type: 'ready', httpPort: server.httpPort, sshPort: server.sshPort });
} catch (error) {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
  const text = error instanceof ConfigError ? error.message : `cannot start: ${String(error)}${cause}`;
  process.stderr.write(`iocloud control plane: ${text}\n`);
  process.exit(1);
}
