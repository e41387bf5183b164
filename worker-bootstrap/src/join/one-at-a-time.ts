/** One run of the program at a time for a directory: a second one waits for the first, whose connection may just have broken. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { JoinFault } from './options.js';

const waitMs = 30_000;

/**
 * Resolves with how to let go. The kernel keeps the name (unix(7), abstract sockets), so nothing is left of a process that
 * was killed. Elsewhere than on Linux there are no such names, and nothing is held.
 */
export async function alone(directory: string, pause: (ms: number) => Promise<void>): Promise<() => void> {
  if (process.platform !== 'linux') return () => undefined;
  const path = `\0iocloud-join-${createHash('sha256').update(directory).digest('hex')}`;
  for (let waitedMs = 0; ; waitedMs += 500) {
    const server = createServer(socket => socket.destroy());
    server.listen({ path });
    const taken = await once(server, 'listening').then(
      () => false,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EADDRINUSE') return true;
        throw error;
      },
    );
    if (!taken) return () => void server.close();
    if (waitedMs >= waitMs) {
      throw new JoinFault(
        `another run of this program is at work in ${directory}: wait for it, or end it (pgrep -f join.mjs)`,
      );
    }
    await pause(500);
  }
}
