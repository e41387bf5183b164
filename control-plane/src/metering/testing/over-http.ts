/** Metering behind its routes. */
import type { AddressInfo } from 'node:net';
import { authenticator } from '../../accounts/index.js';
import { attemptTimes } from '../../jobs/index.js';
import { Http, Signer } from '../../platform/index.js';
import { callWith, type TestKey } from '../../test-ground.js';
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

  call(key: TestKey, path: string, body?: unknown, contentType = 'application/cloudevents-batch+json') {
    const url = `http://${this.address}/v1/${path}`;
    if (body === undefined) return callWith(key, 'GET', url);
    return callWith(key, 'POST', url, body, { 'Content-Type': contentType });
  }
}
