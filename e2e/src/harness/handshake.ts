import WebSocket from 'ws';

/** What a WebSocket handshake is answered: a status, or 'open'. */
export function handshake(
  address: string,
  path: string,
  headers: Record<string, string>,
): Promise<number | 'open' | undefined> {
  const socket = new WebSocket(`${address.replace('http', 'ws')}${path}`, { headers });
  return new Promise(resolve => {
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode));
    socket.on('open', () => {
      socket.terminate();
      resolve('open');
    });
    socket.on('error', () => undefined);
  });
}
