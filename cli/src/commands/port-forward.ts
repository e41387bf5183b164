/** `iocloud port-forward`: ports of a cluster on this machine, over the control plane's own address. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { Client } from '../client.js';
import { findCluster } from './cluster.js';
import { CliError, exitOfStatus } from './exit.js';
import { type CommonOptions, type Context, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

export interface Mapping {
  /** 0: any that is free. */
  local: number;
  remote: number;
}

/** `8888` or `18888:8888`. Throws CliError 'usage'. */
export function parseMapping(text: string): Mapping {
  const match = /^(?:(\d{1,5})?(:))?(\d{1,5})$/.exec(text);
  const remote = Number(match?.[3]);
  // `:8888` takes any free port, `8888` the same as there.
  const local = match?.[2] ? Number(match[1] ?? 0) : remote;
  if (!match || remote < 1 || remote > 65_535 || local > 65_535) {
    throw new CliError('usage', `"${text}" is no port: expected such as 8888, 18888:8888 or :8888`);
  }
  return { local, remote };
}

export function portForwardCommand(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command('port-forward <cluster> <ports...>')
      .description('bring ports inside a cluster to this machine: <port>, <local>:<port>, or :<port> for any free one'),
  )
    .option(
      '--bind <address>',
      'where to listen; more than this machine reaches it elsewhere than on loopback',
      '127.0.0.1',
    )
    .action((reference: string, texts: string[], options: CommonOptions & { bind: string }) =>
      run(terminal, options, async context => {
        const mappings = texts.map(parseMapping);
        const cluster = await findCluster(context.client, reference);
        const servers: Server[] = [];
        try {
          const shown: { address: string; local: number; remote: number }[] = [];
          for (const mapping of mappings) {
            const server = await listen(context, cluster.id, mapping, options.bind);
            servers.push(server);
            const { address, port } = server.address() as AddressInfo;
            shown.push({ address, local: port, remote: mapping.remote });
          }
          context.show(shown, () =>
            shown.map(one => `${one.address}:${one.local} is ${cluster.spec.name}:${one.remote}`).join('\n'),
          );
          context.progress('Ctrl-C ends it');
          if (!terminal.signal.aborted) await once(terminal.signal, 'abort');
        } finally {
          for (const server of servers) server.close();
        }
        throw new CliError('interrupted', 'no longer forwarding');
      }),
    );
}

async function listen(context: Context, clusterId: string, mapping: Mapping, host: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    carry(context.client, clusterId, mapping.remote, socket, context.terminal.signal).catch((error: unknown) => {
      context.progress(`port ${mapping.remote}: ${error instanceof Error ? error.message : String(error)}`);
      socket.destroy();
    });
  });
  server.listen(mapping.local, host);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'EADDRINUSE' ? 'it is in use' : error.message;
    throw new CliError(
      'usage',
      `cannot listen on ${host}:${mapping.local} (${why}): take another, as 0:${mapping.remote}`,
    );
  });
  return server;
}

async function carry(client: Client, clusterId: string, port: number, socket: Socket, signal: AbortSignal) {
  const { WebSocket } = await import('ws');
  const { SocketStream } = await import('@iocloud/contracts/wire');
  const { url, headers } = await client.webSocket('forwardPort', { clusterId, port: String(port) });
  const ws = new WebSocket(url, { headers, handshakeTimeout: 30_000, perMessageDeflate: false });
  // What the other side says at once must be heard.
  const stream = new SocketStream(ws);
  const abort = () => ws.terminate();
  signal.addEventListener('abort', abort);
  const close = () => ws.terminate();
  socket.on('error', close);
  try {
    await new Promise<void>((resolve, reject) => {
      ws.on('open', resolve);
      stream.on('error', reject);
      ws.on('unexpected-response', (_request, response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const words = Buffer.concat(chunks).toString().trim() || `refused with status ${response.statusCode}`;
          reject(new CliError(exitOfStatus(response.statusCode ?? 0), words));
          ws.terminate();
        });
      });
    });
    await Promise.all([pipeline(stream, socket), pipeline(socket, stream)]);
  } finally {
    signal.removeEventListener('abort', abort);
    ws.terminate();
  }
}
