/** The few calls that the benchmark makes of a Kubernetes API, over kept connections. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

export interface WatchEvent {
  type: string;
  object: { metadata?: { name?: string; resourceVersion?: string }; message?: string };
}

export class KubeApi {
  readonly #agent: Agent;

  /** `connections`: calls at a time; more wait. */
  constructor(
    readonly address: string,
    readonly token: string,
    ca: string,
    connections: number,
  ) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections, ca });
  }

  /** The answer's text. Throws for a status of 300 and up. */
  async call(method: string, path: string, body?: unknown): Promise<string> {
    const response = await this.#send(method, path, this.#agent, 'application/json', body);
    const answer = await text(response);
    const status = response.statusCode ?? 0;
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${answer.slice(0, 300)}`);
    return answer;
  }

  /** Changes, of each object no more than its metadata. The server ends it at will, say when it comes too slowly. */
  async *watch(path: string): AsyncGenerator<WatchEvent> {
    const own = new Agent({ ca: this.#agent.options.ca });
    const metadataOnly = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
    const response = await this.#send('GET', path, own, metadataOnly);
    if (response.statusCode !== 200) throw new Error(`GET ${path}: ${response.statusCode} ${await text(response)}`);
    try {
      for await (const line of createInterface({ input: response })) yield JSON.parse(line) as WatchEvent;
    } finally {
      response.destroy();
      own.destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(method: string, path: string, agent: Agent, accept: string, body?: unknown): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const sent = request(`${this.address}${path}`, {
      method,
      agent,
      headers: {
        authorization: `Bearer ${this.token}`,
        accept,
        ...(payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
      },
    });
    sent.end(payload);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return response;
  }
}
