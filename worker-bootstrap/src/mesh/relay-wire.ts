/**
 * What members and a relay say to each other by UDP. A member registers with its token from the socket that it will use, again
 * and again, which also keeps its NAT's mapping; the relay then knows its datagrams by where they come from.
 *
 *     1 token (16 bytes)       member → relay   register
 *     2                        relay → member   registered
 *     3 slot (2 bytes) data    member → relay   for that slot; relay → member: from that slot
 */
export const registerType = 1;
export const registeredType = 2;
export const dataType = 3;
export const tokenBytes = 16;
export const dataHeadBytes = 3;

export const registration = (token: string): Buffer =>
  Buffer.concat([Buffer.from([registerType]), Buffer.from(token, 'hex')]);
export const registered = Buffer.from([registeredType]);

/** Head and data apart: UDP sockets send both as one datagram without copying. */
export function dataHead(slot: number): Buffer {
  const head = Buffer.allocUnsafe(dataHeadBytes);
  head[0] = dataType;
  head.writeUInt16BE(slot, 1);
  return head;
}
