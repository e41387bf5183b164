/** Who holds a port: for an error that helps. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';

const listening = '0A'; // TCP_LISTEN in /proc/net/tcp

/** `pid 123 (ray start --head)`, or null when it cannot be told (another user's process, say). */
export function portHolder(port: number): string | null {
  if (process.platform !== 'linux') {
    try {
      const output = execFileSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], { encoding: 'utf8' });
      const [pid, command] = output.split('\n').map(line => line.slice(1));
      return pid ? `pid ${pid} (${command})` : null;
    } catch {
      return null;
    }
  }
  const sockets = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap(table => socketsOn(table, port)));
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      const holds = readdirSync(`/proc/${pid}/fd`).some(fd => sockets.has(readlinkSync(`/proc/${pid}/fd/${fd}`)));
      if (holds) {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return `pid ${pid} (${command.slice(0, 120)})`;
      }
    } catch {
      // Ended meanwhile, or another user's.
    }
  }
  return null;
}

function socketsOn(table: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  let text: string;
  try {
    text = readFileSync(table, 'utf8');
  } catch {
    return []; // no IPv6 here
  }
  return text
    .split('\n')
    .slice(1)
    .map(line => line.trim().split(/\s+/))
    .filter(fields => fields[1]?.endsWith(`:${hex}`) && fields[3] === listening)
    .map(fields => `socket:[${fields[9]}]`);
}

/** True when somebody listens there. */
export function portTaken(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE'
        ? resolve(true)
        : reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`)),
    );
    server.listen(port, host, () => server.close(() => resolve(false)));
  });
}
