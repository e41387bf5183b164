import { Duplex, PassThrough } from 'node:stream';
import type { ClusterId, NodeId } from '@iocloud/contracts';
import { datagramFrame, Unframer } from '@iocloud/contracts/wire';
import { describe, expect, test } from '@jest/globals';
import { StreamRefused } from '../inventory/ports.js';
import { createLogger } from '../platform/index.js';
import { Hub } from './hub.js';

const [red, blue] = ['cl_red', 'cl_blue'] as unknown as [ClusterId, ClusterId];
const node = (n: number) => `nd_${n}` as NodeId;
const circle = [1, 2, 3].map(slot => ({ node_id: node(slot), slot }));

/** The agents' ends of the streams that the hub has opened, by cluster and node. */
class Agents {
  readonly heard: string[] = [];
  readonly ends = new Map<string, { write: PassThrough; stream: Duplex }>();
  readonly offline = new Set<NodeId>();

  readonly openStream = async (nodeId: NodeId, request: { kind: string; clusterId?: ClusterId }): Promise<Duplex> => {
    if (this.offline.has(nodeId)) throw new StreamRefused('offline', 'not connected');
    const [up, down] = [new PassThrough(), new PassThrough()];
    const name = `${request.clusterId} ${nodeId}`;
    const unframer = new Unframer((slot, datagram) => this.heard.push(`${name} from ${slot}: ${datagram}`));
    down.on('data', piece => unframer.push(piece));
    const stream = Duplex.from({ readable: up, writable: down });
    this.ends.set(name, { write: up, stream });
    return stream;
  };

  say(clusterId: ClusterId, nodeId: NodeId, to: number, text: string): void {
    this.ends.get(`${clusterId} ${nodeId}`)?.write.write(datagramFrame(to, Buffer.from(text)));
  }
}

const turn = () => new Promise(resolve => setTimeout(resolve, 20));
function start() {
  const agents = new Agents();
  return { agents, hub: new Hub({ openStream: agents.openStream as never }, createLogger('error')) };
}

describe('the hub', () => {
  test('passes datagrams between members of one cluster, whoever asked, and to nobody else', async () => {
    const { agents, hub } = start();
    hub.wish(red, node(1), true, circle);
    hub.wish(blue, node(1), true, circle);
    await turn();
    agents.say(red, node(1), 2, 'hello');
    agents.say(red, node(3), 1, 'back');
    agents.say(red, node(3), 9, 'to nobody');
    await turn();
    expect(agents.heard).toEqual(['cl_red nd_2 from 1: hello', 'cl_red nd_1 from 3: back']);
    hub.stop();
  });

  test('ends when no member wants it any more, and lets go of one who has left', async () => {
    const { agents, hub } = start();
    hub.wish(red, node(1), true, circle);
    hub.wish(red, node(2), true, circle);
    await turn();
    hub.wish(red, node(1), false, circle.slice(0, 2));
    await turn();
    expect(agents.ends.get('cl_red nd_3')?.stream.destroyed).toBe(true);
    expect(agents.ends.get('cl_red nd_1')?.stream.destroyed).toBe(false);
    hub.wish(red, node(2), false, circle);
    await turn();
    expect([...agents.ends.values()].every(({ stream }) => stream.destroyed)).toBe(true);
    expect(hub.knows(red)).toBe(false);
  });

  test('takes in a member that was away when it asks again', async () => {
    const { agents, hub } = start();
    agents.offline.add(node(2));
    hub.wish(red, node(1), true, circle);
    await turn();
    expect(agents.ends.has('cl_red nd_2')).toBe(false);
    agents.offline.clear();
    hub.wish(red, node(2), true, circle);
    await turn();
    agents.say(red, node(2), 1, 'here');
    await turn();
    expect(agents.heard).toEqual(['cl_red nd_1 from 2: here']);
    hub.stop();
  });

  test('opens a stream again that broke, and one that could not be opened, though nobody asks anew', async () => {
    const { agents, hub } = start();
    agents.offline.add(node(3));
    hub.wish(red, node(1), true, circle);
    await turn();
    agents.ends.get('cl_red nd_2')?.stream.destroy();
    agents.offline.clear();
    await new Promise(resolve => setTimeout(resolve, 1_200));
    agents.say(red, node(2), 3, 'back');
    await turn();
    expect(agents.heard).toEqual(['cl_red nd_3 from 2: back']);
    hub.stop();
  });

  test('a member that talks nonsense loses its stream, and nobody else does', async () => {
    const { agents, hub } = start();
    hub.wish(red, node(1), true, circle);
    await turn();
    agents.ends.get('cl_red nd_2')?.write.write(Buffer.alloc(8, 255));
    await turn();
    expect(agents.ends.get('cl_red nd_2')?.stream.destroyed).toBe(true);
    agents.say(red, node(1), 3, 'still here');
    await turn();
    expect(agents.heard).toEqual(['cl_red nd_3 from 1: still here']);
    hub.stop();
  });
});
