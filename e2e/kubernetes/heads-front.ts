/**
 * Stands where the heads of all clusters of a bed would: KWOK's pods run nothing, so what is sent to a cluster's head goes
 * to one real head. It lets in who has the token of the very cluster that is addressed, and can be cut off.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FrontOptions {
  head: { host: string; port: number; token: string };
  /** As the cluster's pods have it. */
  tokenOf: (namespace: string, cluster: string) => Promise<string>;
}

export class HeadsFront {
  /** Submission ids in the order in which they came. */
  readonly submissions: string[] = [];
  /** Requests that the front did not let through, by cluster. */
  readonly refused: string[] = [];
  isCut = false;
  private readonly tokens = new Map<string, string>();

  private constructor(
    private readonly server: Server,
    private readonly options: FrontOptions,
  ) {}

  static async start(options: FrontOptions): Promise<HeadsFront> {
    const server = createServer();
    const front = new HeadsFront(server, options);
    server.on('request', (incoming: IncomingMessage, answer: ServerResponse) => {
      front.serve(incoming, answer).catch((error: unknown) => answer.writeHead(502).end(String(error)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return front;
  }

  /** As the operator's setting. */
  get template(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/{namespace}/{cluster}`;
  }

  private async serve(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (this.isCut) {
      incoming.socket.destroy();
      return;
    }
    const [, namespace = '', cluster = '', path = ''] = /^\/([^/]+)\/([^/]+)(\/.*)$/.exec(incoming.url ?? '') ?? [];
    const key = `${namespace}/${cluster}`;
    const known = this.tokens.get(key) ?? (await this.options.tokenOf(namespace, cluster));
    this.tokens.set(key, known);
    if (incoming.headers.authorization !== `Bearer ${known}`) {
      this.refused.push(key);
      answer.writeHead(401).end('no or another token');
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (incoming.method === 'POST' && path === '/api/jobs/')
      this.submissions.push(JSON.parse(body.toString()).submission_id);
    const { host, port, token } = this.options.head;
    const headers = { ...incoming.headers, authorization: `Bearer ${token}`, host: `${host}:${port}` };
    const outgoing = request({ host, port, path, method: incoming.method, headers }, response => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    outgoing.on('error', error => {
      if (!answer.headersSent) answer.writeHead(502);
      answer.end(String(error));
    });
    outgoing.end(body);
  }

  async stop(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
  }
}
