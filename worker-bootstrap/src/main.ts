#!/usr/bin/env node
/** The program: see `usage`. Started with an IPC channel, it ends when its launcher does. */
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Agent } from './agent.js';
import { ConfigFault, readConfig } from './config.js';
import { createLogger } from './log.js';
import { Installation, misconfigured, startAnew } from './releases/index.js';

const usage = `usage: node main.js --config FILE [--keep-leases | --end-leases]
  --keep-leases  on SIGTERM leave Ray nodes running, for the next start to adopt
  --end-leases   end what an earlier agent left running, without connecting, and exit
  --home DIR     the directory of an installation, from whose releases this one was started
  --keeper PID   what keeps this agent running: when it has gone, end and leave Ray nodes running`;

const keeperLookMs = 1_000;

function fail(message: string): never {
  process.stderr.write(`iocloud agent: ${message}\n`);
  process.exit(misconfigured);
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        config: { type: 'string' },
        'keep-leases': { type: 'boolean', default: false },
        'end-leases': { type: 'boolean', default: false },
        home: { type: 'string' },
        keeper: { type: 'string' },
      },
    });
    if (!values.config) return fail(usage);
    const config = readConfig(values.config);
    return { values, config: { ...config, keepLeases: config.keepLeases || values['keep-leases'] } };
  } catch (error) {
    return fail(error instanceof ConfigFault ? error.message : `${(error as Error).message}\n${usage}`);
  }
}

const { values, config } = readArguments();
const log = createLogger(config.logLevel);
mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
const installation = openInstallation(values.home);
await installation?.prune();
const agent = await Agent.create(config, installation, log).catch((error: Error) => fail(error.message));

function openInstallation(home: string | undefined): Installation | null {
  if (home === undefined) return null;
  try {
    return new Installation(home, log, () => stop('a new release is to run', true, startAnew));
  } catch (error) {
    return fail((error as Error).message);
  }
}

let stopping = false;
function stop(why: string, keepLeases: boolean, code = 0): void {
  if (stopping) return;
  stopping = true;
  log.info({ why, keepLeases }, 'stopping');
  agent.stop(keepLeases).then(
    () => process.exit(code),
    (error: Error) => fail(`could not stop cleanly: ${error.message}`),
  );
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal, config.keepLeases));
// A launcher that has died asked for nothing: its next start adopts what runs.
process.on('disconnect', () => stop('the launcher has gone', true));
if (values.keeper !== undefined) {
  const keeper = Number(values.keeper);
  const look = () => process.ppid !== keeper && stop('what kept it running has gone', true);
  setInterval(look, keeperLookMs).unref();
}

if (values['end-leases']) stop('only asked to end the leases', false);
else await agent.run();
