/** `iocloud down`: ends what runs with this home. */
import { runningInstance } from './instance.js';
import { endProcess } from './running.js';
import type { Settings } from './settings.js';
import { Supervisor } from './supervisor.js';

/** The launcher ends its programs one after the other, each with its own deadline. */
const launcherDeadlineMs = 90_000;

export async function down(settings: Settings): Promise<void> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const launcher = runningInstance(settings.home);
  if (launcher) {
    say(`stopping pid ${launcher.pid} …`);
    await endProcess(launcher, 'SIGTERM', launcherDeadlineMs);
  }
  await new Supervisor(settings.home, say).endLeftovers();
}
