// `make observe`: a Prometheus, from Debian's package where none is installed, and `iocloud observe` with it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onPath } from './on-path.mjs';
import { ensurePrograms } from './prometheus.mjs';
import { main, SetupError } from './steps.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const home = resolve(root, process.env.IOCLOUD_HOME ?? '.iocloud');

main(async () => {
  const found = await ensurePrograms({ prometheus: ['prometheus'] }, join(home, 'tools'), onPath);
  if (!found) throw new SetupError('no prometheus on the PATH and no Debian packages here: install one and run again');
  const args = [join(root, 'cli/bin/iocloud.js'), 'observe', '--prometheus', found.prometheus];
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
  // Ctrl-C at the terminal reaches both; whoever ends only this one means the other.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const [code] = await once(child, 'close');
  process.exit(code ?? 1);
});
