/**
 * The Serve API of all heads of a bed, pretended: the tests' Ray has no Serve (`ray[default]`), and KWOK's pods run nothing.
 * It speaks the wire of Ray's serve_head.py: PUT and GET of /api/serve/applications/, statuses, deployments, proxies.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Config {
  applications: { name: string; import_path?: string }[];
}

export class PretendedServe {
  /** What was put, by cluster, in the order in which it came. */
  readonly puts: { cluster: string; config: Config }[] = [];
  /** What each application of a cluster says of itself; without a word it runs. */
  readonly statuses = new Map<string, string>();
  isCut = false;

  private constructor(
    private readonly server: Server,
    private readonly addressesOf: (cluster: string) => Promise<string[]>,
  ) {}

  /** `addressesOf`: of the nodes on which the proxies run. */
  static async start(addressesOf: (cluster: string) => Promise<string[]>): Promise<PretendedServe> {
    const server = createServer();
    const serve = new PretendedServe(server, addressesOf);
    server.on('request', (incoming: IncomingMessage, answer: ServerResponse) => {
      serve.answer(incoming, answer).catch((error: unknown) => answer.writeHead(500).end(String(error)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return serve;
  }

  get template(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/{cluster}`;
  }

  private async answer(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const [, cluster = '', path = ''] = /^\/([^/]+)(\/.*)$/.exec(incoming.url ?? '') ?? [];
    if (this.isCut) incoming.socket.destroy();
    else if (!incoming.headers.authorization) answer.writeHead(401).end('Unauthorized: Missing authentication token');
    else if (path !== '/api/serve/applications/') answer.writeHead(404).end('404: Not Found');
    else if (incoming.method === 'PUT') {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      this.puts.push({ cluster, config: JSON.parse(Buffer.concat(chunks).toString()) });
      answer.end();
    } else {
      const addresses = await this.addressesOf(cluster);
      answer.setHeader('content-type', 'application/json').end(JSON.stringify(this.details(cluster, addresses)));
    }
  }

  private details(cluster: string, addresses: string[]) {
    const last = this.puts.filter(put => put.cluster === cluster).pop();
    const status = this.statuses.get(cluster) ?? 'RUNNING';
    const applications = (last?.config.applications ?? []).map(({ name }) => [
      name,
      { name, status, message: '', deployments: { Model: { status: 'HEALTHY', message: '' } } },
    ]);
    const proxies = last ? addresses.map((node_ip, index) => [`node-${index}`, { node_ip, status: 'HEALTHY' }]) : [];
    return { applications: Object.fromEntries(applications), proxies: Object.fromEntries(proxies) };
  }

  async stop(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
  }
}
