import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { ClusterId } from '@iocloud/contracts';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createLogger } from '../log.js';
import { RelayServer } from './relay-server.js';
import { dataHead, registeredType, registration } from './relay-wire.js';

const publicKey = Buffer.alloc(32, 1).toString('base64');
const token = (n: number) => n.toString(16).padStart(32, '0');
const [red, blue] = ['cl_red', 'cl_blue'] as unknown as [ClusterId, ClusterId];
const members = [
  { clusterId: red, slot: 1, token: token(1), publicKey },
  { clusterId: red, slot: 2, token: token(2), publicKey },
  { clusterId: blue, slot: 1, token: token(3), publicKey },
  { clusterId: blue, slot: 2, token: token(4), publicKey },
];

class Member {
  readonly socket: Socket = createSocket('udp4');
  readonly heard: { slot: number; text: string }[] = [];
  answers = 0;

  constructor(readonly port: number) {
    this.socket.on('message', message => {
      if (message[0] === registeredType) this.answers += 1;
      else this.heard.push({ slot: message.readUInt16BE(1), text: message.toString('utf8', 3) });
    });
  }

  send(message: Buffer): void {
    this.socket.send(message, this.port, '127.0.0.1');
  }

  async register(name: string): Promise<this> {
    this.send(registration(name));
    await once(this.socket, 'message');
    return this;
  }

  say(slot: number, text: string): void {
    this.send(Buffer.concat([dataHead(slot), Buffer.from(text)]));
  }
}

let server: RelayServer;
let port: number;
const opened: Member[] = [];
const member = () => {
  const one = new Member(port);
  opened.push(one);
  return one;
};
beforeEach(async () => {
  server = new RelayServer(createLogger('silent'));
  port = await server.listen(0);
  server.serve(members);
});
afterEach(() => {
  server.close();
  for (const { socket } of opened.splice(0)) socket.close();
});

/** Once its own last word has come back through the relay, nothing of what was sent before is still on its way. */
async function settled(one: Member, other: Member, otherSlot: number): Promise<void> {
  one.say(otherSlot, 'last');
  for (const deadline = Date.now() + 5_000; !other.heard.some(({ text }) => text === 'last'); await pause(5)) {
    if (Date.now() > deadline) throw new Error('the relay passes nothing on');
  }
}

describe('a relay', () => {
  test('passes on between members of one cluster, and says from whom', async () => {
    const one = await member().register(token(1));
    const two = await member().register(token(2));
    one.say(2, 'hello');
    await settled(one, two, 2);
    expect(two.heard[0]).toEqual({ slot: 1, text: 'hello' });
  });

  test('passes nothing from one cluster to another that has the same slots', async () => {
    const [one, two] = [await member().register(token(1)), await member().register(token(2))];
    const stranger = await member().register(token(4));
    one.say(2, 'ours');
    await settled(one, two, 2);
    expect(two.heard.map(({ text }) => text)).toEqual(['ours', 'last']);
    expect(stranger.heard).toEqual([]);
  });

  test('answers and carries for nobody whose token it does not know, nor for one who has left', async () => {
    const [one, two, unknown] = [await member().register(token(1)), await member().register(token(2)), member()];
    unknown.send(registration(token(99)));
    unknown.say(2, 'let me in');
    server.serve(members.filter(({ slot }) => slot === 2));
    one.say(2, 'from afar');
    one.send(registration(token(1)));
    server.serve(members);
    await one.register(token(1));
    await settled(one, two, 2);
    expect(two.heard.map(({ text }) => text)).toEqual(['last']);
    expect(unknown.answers).toBe(0);
  });

  test('follows a member whose address has changed', async () => {
    const [one, two] = [await member().register(token(1)), await member().register(token(2))];
    const moved = await member().register(token(2));
    await settled(one, moved, 2);
    expect(two.heard).toEqual([]);
  });

  test('survives whatever is sent to it', async () => {
    const [one, two, enemy] = [await member().register(token(1)), await member().register(token(2)), member()];
    const shaped = fc.tuple(fc.constantFrom(0, 1, 2, 3, 4), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(shaped, ([type, rest]) => enemy.send(Buffer.concat([Buffer.from([type]), rest]))),
      { numRuns: 300 },
    );
    await settled(one, two, 2);
    expect(two.heard.map(({ text }) => text)).toEqual(['last']);
    expect(enemy.heard).toEqual([]);
  });
});
