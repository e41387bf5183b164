/** Metering behind its routes. */
import type { AddressInfo } from 'node:net';
import { authenticator } from '../../accounts/index.js';
import { attemptTimes } from '../../jobs/index.js';
import { Http, Signer } from '../../platform/index.js';
import type { TestKey } from '../../test-ground.js';
import { usageRoutes } from '../routes.js';
import type { MeterTrial } from './index.js';

export class UsageOverHttp {
  private constructor(
    readonly http: Http,
    /** host:port */
    readonly address: string,
  ) {}

  static async start(ground: MeterTrial): Promise<UsageOverHttp> {
    const { database, ground: base } = ground.trial;
    const http = new Http(authenticator(database, new Signer('a secret of this test')), base.log);
    usageRoutes(http, { ...ground.wiring(), attempts: attemptTimes });
    await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
    return new UsageOverHttp(http, `127.0.0.1:${(http.server.address() as AddressInfo).port}`);
  }

  stop(): void {
    this.http.server.closeAllConnections();
    this.http.server.close();
  }

  async call(key: TestKey, path: string, body?: unknown, contentType = 'application/cloudevents-batch+json') {
    const response = await fetch(`http://${this.address}/v1/${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        Authorization: `Bearer ${key.apiKey}`,
        ...(body === undefined ? {} : { 'Content-Type': contentType }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
    return { status: response.status, text, body: (isJson ? JSON.parse(text) : null) as any };
  }
}
