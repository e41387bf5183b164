/** The package endpoints of Ray's API. */
import type { IncomingMessage } from 'node:http';
import type { Response } from 'express';
import { type Database, Failure, type Http } from '../../platform/index.js';
import { type EntranceRoutes, type FindMega, megaOfCall } from '../entrances.js';
import { packageNameFault } from './name.js';
import { type PackageStore, tooLarge } from './store.js';

/** How long a client that is being refused may go on sending before the connection is cut. */
const lingerMs = 30_000;

interface Wiring {
  store: PackageStore;
  database: Database;
  megaNamed: FindMega;
}

/** Packages are the tenant's: at whichever of its addresses they came in, jobs of all find them. */
export function packageRoutes(
  http: Http,
  { store, database, megaNamed }: Wiring,
  routes: Pick<EntranceRoutes, 'hasPackage' | 'putPackage'>,
): void {
  http.handle(routes.hasPackage, async ({ caller, params, response }) => {
    await megaOfCall(database, megaNamed, caller.tenantId, params);
    const known = params.protocol === 'gcs' && packageNameFault(params.name) === null;
    if (known && (await store.has(caller.tenantId, params.name))) response.status(200).end();
    else throw new Failure('not-found', `Package ${params.protocol}://${params.name} does not exist`);
    return undefined;
  });

  http.handle(routes.putPackage, async ({ caller, params, request, response }) => {
    const refuse = async (failure: Failure) => answerBeforeTheEnd(request, response, failure);
    if (params.protocol !== 'gcs') {
      return refuse(new Failure('bad-request', `packages are uploaded as gcs://…, not ${params.protocol}://…`));
    }
    const fault = packageNameFault(params.name);
    if (fault) return refuse(new Failure('bad-request', fault));
    if (Number(request.headers['content-length'] ?? 0) > store.maxBytes) return refuse(tooLarge(store.maxBytes));
    try {
      await megaOfCall(database, megaNamed, caller.tenantId, params);
      // The request must outlive a refusal half-way, so that the answer can still be sent.
      await store.put(caller.tenantId, params.name, request.iterator({ destroyOnReturn: false }));
    } catch (error) {
      if (error instanceof Failure) return refuse(error);
      throw error;
    }
    response.status(200).end();
    return undefined;
  });
}

/**
 * Answers a request whose body is still on its way. A client that is cut off while it sends sees a broken connection and
 * not the answer, so what it sends is thrown away for a while before the connection ends.
 */
async function answerBeforeTheEnd(request: IncomingMessage, response: Response, failure: Failure): Promise<undefined> {
  const text = Buffer.from(failure.detail);
  response.writeHead(failure.status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': text.length,
    Connection: 'close',
  });
  response.write(text);
  if (!request.complete && !request.destroyed) {
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, lingerMs);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      for (const event of ['end', 'close', 'error']) request.once(event, done);
      request.resume();
    });
  }
  response.end();
  return undefined;
}
