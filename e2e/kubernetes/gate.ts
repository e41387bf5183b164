/**
 * A way from this process into another network namespace: a port here is handed, connection by connection, to a process
 * there, which connects on. The host's own network is left as it is.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

const inside = `
const { connect } = require('node:net');
process.on('disconnect', () => process.exit());
process.on('message', ({ host, port }, outer) => {
  if (!outer) return;
  const inner = connect(port, host);
  outer.on('error', () => inner.destroy());
  inner.on('error', () => outer.destroy());
  outer.on('close', () => inner.destroy());
  inner.on('close', () => outer.destroy());
  outer.pipe(inner).pipe(outer);
});
process.send('ready');
`;

export class Gate {
  private readonly servers = new Map<string, Server>();

  private constructor(private readonly child: ChildProcess) {}

  /** `prefix` enters the namespace by `exec`, without a process between. */
  static async open(prefix: string[]): Promise<Gate> {
    const [program = '', ...args] = [...prefix, process.execPath, '-e', inside];
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the gate did not open: exit code ${code}`))),
    ]);
    return new Gate(child);
  }

  /** A port of 127.0.0.1 that leads to this address there. */
  async forward(host: string, port: number): Promise<number> {
    const key = `${host}:${port}`;
    const server = this.servers.get(key) ?? createServer({ pauseOnConnect: true });
    if (!server.listening) {
      server.on('connection', socket => {
        if (!this.child.connected) socket.destroy();
        else this.child.send({ host, port }, socket, error => error && socket.destroy());
      });
      this.servers.set(key, server.listen(0, '127.0.0.1'));
      await once(server, 'listening');
    }
    return (server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const server of this.servers.values()) server.close();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }
}
