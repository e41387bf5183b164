import { describe, expect, test } from '@jest/globals';
import { type Box, engineCommand, execCommand, removeCommand, renterId, runCommand } from './engine.js';

const engine = { program: 'podman', runtime: null, image: 'localhost/base:1', processes: 100_000 };
const box: Box = {
  name: 'iocloud-a-ls_1',
  owner: 'a',
  network: '/run/net/x',
  cpus: 2,
  memoryBytes: 4 * 2 ** 30,
  pids: 6_144,
  openFiles: 20_000,
  mounts: [
    { source: '/opt/ray', target: '/opt/ray', writable: false },
    { source: '/leases/1/volume/tmp', target: '/tmp', writable: true },
  ],
  devices: [],
  command: ['python', 'supervisor.py'],
};

describe('what an engine is told', () => {
  test('closes the base, takes capabilities away, joins the network, and limits memory, CPU, threads', () => {
    const words = runCommand(engine, box);
    expect(words).toEqual(
      expect.arrayContaining([
        ...['--read-only', '--cap-drop=all', '--cap-add=SETUID,SETGID,KILL', '--security-opt=no-new-privileges'],
        ...['--network=ns:/run/net/x', '--cpus=2', '--pids-limit=6144', '--ipc=private', '--pid=private'],
        ...['--memory=4294967296', '--memory-swap=4294967296', '--pull=never'],
      ]),
    );
    expect(words.join(' ')).not.toMatch(/privileged|--userns=host|unconfined/);
    expect(words.slice(-3)).toEqual(['localhost/base:1', 'python', 'supervisor.py']);
  });

  test('mounts what is not the lease’s own for reading only', () => {
    const mounts = runCommand(engine, box).filter(word => word.startsWith('--mount='));
    expect(mounts).toEqual([
      '--mount=type=bind,source=/opt/ray,target=/opt/ray,ro,bind-propagation=rprivate',
      '--mount=type=bind,source=/leases/1/volume/tmp,target=/tmp,rw,bind-propagation=rprivate',
    ]);
  });

  test('gives the devices of the lease and no others', () => {
    expect(runCommand(engine, box).join(' ')).not.toContain('--device');
    const words = runCommand(engine, { ...box, devices: ['nvidia.com/gpu=1'] });
    expect(words.filter(word => word.startsWith('--device'))).toEqual(['--device=nvidia.com/gpu=1']);
  });

  test('names the runtime in every command, where one was chosen', () => {
    const chosen = { ...engine, runtime: 'runc' };
    const start = ['podman', '--runtime', 'runc'];
    expect(runCommand(chosen, box).slice(0, 3)).toEqual(start);
    expect(removeCommand(chosen, 'x').slice(0, 3)).toEqual(start);
    expect(execCommand(engineCommand(chosen), 'x', renterId, ['id'])).toEqual([
      ...[...start, 'exec', '--interactive', `--user=${renterId}:${renterId}`, '--workdir=/', 'x', 'id'],
    ]);
  });
});
