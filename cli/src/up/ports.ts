import { type AddressInfo, createServer } from 'node:net';

/** A port that is free now. Another process may still take it first: whoever binds it must cope with that. */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
