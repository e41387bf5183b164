/** A CPU profile of the control plane while it works: through Node's inspector, opened by SIGUSR1. */
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import WebSocket from 'ws';
import { type Stack, until } from '../../src/harness/index.js';

/** What the stack's environment must hold: any free port. */
export const profilable = { NODE_OPTIONS: '--inspect-port=127.0.0.1:0' };

const intervalMicroseconds = 1_000;

/** Profiles while `work` is done and writes `<name>.cpuprofile` into the directory. */
export async function profiled<T>(stack: Stack, directory: string, name: string, work: () => Promise<T>): Promise<T> {
  const { pid } = await stack.part('control plane');
  process.kill(pid, 'SIGUSR1');
  const log = join(stack.home, 'logs', 'control-plane.log');
  const address = await until(
    'the inspector listens',
    10_000,
    () => [...readFileSync(log, 'utf8').matchAll(/Debugger listening on (ws:\S+)/g)].at(-1)?.[1],
  );
  const socket = new WebSocket(address);
  await once(socket, 'open');
  const answers = new Map<number, (result: { profile?: unknown }) => void>();
  socket.on('message', data => {
    const { id, result } = JSON.parse(String(data));
    answers.get(id)?.(result);
  });
  let calls = 0;
  const call = (method: string, params: object = {}) => {
    calls += 1;
    const id = calls;
    const answered = new Promise<{ profile?: unknown }>(resolve => answers.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params }));
    return answered;
  };
  try {
    await call('Profiler.enable');
    await call('Profiler.setSamplingInterval', { interval: intervalMicroseconds });
    await call('Profiler.start');
    const result = await work();
    const { profile } = await call('Profiler.stop');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `${name}.cpuprofile`), JSON.stringify(profile));
    return result;
  } finally {
    socket.close();
  }
}
