/** Gives a duplex stream the methods of a socket that node:http and its agents call on one. */
import type { Duplex } from 'node:stream';

interface SocketMethods {
  setNoDelay(on?: boolean): Duplex;
  setKeepAlive(on?: boolean, delayMs?: number): Duplex;
  setTimeout(timeoutMs: number, onTimeout?: () => void): Duplex;
  ref(): Duplex;
  unref(): Duplex;
  destroySoon(): void;
}

/** Returns the same stream. A TCP socket, which has these methods already, stays as it is. */
export function asSocket(stream: Duplex): Duplex & SocketMethods {
  if ('setNoDelay' in stream) return stream as Duplex & SocketMethods;
  let timer: NodeJS.Timeout | undefined;
  let timeoutMs = 0;
  const restart = () => {
    clearTimeout(timer);
    // An idle connection alone keeps no process alive.
    if (timeoutMs > 0 && !stream.destroyed) timer = setTimeout(() => stream.emit('timeout'), timeoutMs).unref();
  };
  stream.once('close', () => clearTimeout(timer));
  const methods: SocketMethods = {
    // The tunnel's own TCP connection has these two set.
    setNoDelay: () => stream,
    setKeepAlive: () => stream,
    setTimeout: (ms, onTimeout) => {
      timeoutMs = ms;
      if (onTimeout) {
        if (ms > 0) stream.once('timeout', onTimeout);
        else stream.off('timeout', onTimeout);
      }
      restart();
      return stream;
    },
    ref: () => stream,
    unref: () => stream,
    destroySoon: () => {
      if (stream.writableFinished) stream.destroy();
      else stream.end(() => stream.destroy());
    },
  };
  return Object.assign(stream, methods);
}
