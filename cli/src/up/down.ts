/** `iocloud down`: ends what runs with this home, whatever of it has died before. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { agentConfigFile } from './identity.js';
import { runningInstance } from './instance.js';
import { endProcess } from './running.js';
import { LaunchError, repository, type Settings } from './settings.js';
import { Supervisor } from './supervisor.js';

/** The launcher ends its programs one after the other, each with its own deadline. */
const launcherDeadlineMs = 90_000;
const leasesDeadlineMs = 60_000;

export async function down(settings: Settings): Promise<void> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const launcher = runningInstance(settings.home);
  if (launcher) {
    say(`stopping pid ${launcher.pid} …`);
    await endProcess(launcher, 'SIGTERM', launcherDeadlineMs);
  }
  await new Supervisor(settings.home, say).endLeftovers();
  endLeases(settings.home);
}

/** Ray nodes outlive an agent that was killed: they are for the next one to adopt. Here there is no next one. */
function endLeases(home: string): void {
  const config = agentConfigFile(home);
  const program = join(repository, 'worker-bootstrap/dist/main.js');
  if (!existsSync(config) || !existsSync(program)) return;
  const { status, stderr } = spawnSync(process.execPath, [program, '--config', config, '--end-leases'], {
    encoding: 'utf8',
    timeout: leasesDeadlineMs,
  });
  if (status !== 0) throw new LaunchError(`Ray nodes of ${home} could not be ended: ${stderr.trim().slice(-500)}`);
}
