import { describe, expect, test } from '@jest/globals';
import { field, Message } from './protobuf.js';
import { drainIdleRequest, readDrainReply, readResourceState } from './resource-state.js';

// Written by Ray 2.60.0's own classes (ray.core.generated.autoscaler_pb2).
const reply = Buffer.from(
  '0ab1021a620a1cabababababababababababababababababababababababababababab12046c735f311a0177220e0a0343505511000000000000' +
    'f83f2a110a066d656d6f727911000000c0d70117422a0e0a0343505511000000000000004040034880e497d0121a470a1ccdcdcdcdcdcdcdcdcd' +
    'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd2a0e0a0343505511000000000000f03f400162154275737920776f726b657273206f6e206e6f64' +
    '652e22270a220a0e0a034350551100000000000000401a100a0e0a047a6f6e6510021a01611a016210ac022a3a0a1b0a0e0a0343505511000000' +
    '000000004012090a070a055f50475f310a1b0a0e0a0343505511000000000000004012090a070a055f50475f312a1d0a1b0a0e0a034750551100' +
    '0000000000f03f120912070a055f50475f32',
  'hex',
);

describe('the resource state of a Ray cluster', () => {
  test('is read as Ray writes it', () => {
    expect(readResourceState(reply)).toEqual({
      nodes: [
        {
          rayNodeId: 'ab'.repeat(28),
          instanceId: 'ls_1',
          group: 'w',
          status: 'idle',
          total: { CPU: 2, memory: 24_703_791_104 },
          available: { CPU: 1.5 },
          idleMs: 5_000_000_000,
        },
        {
          rayNodeId: 'cd'.repeat(28),
          instanceId: '',
          group: '',
          status: 'running',
          total: { CPU: 1 },
          available: {},
          idleMs: 0,
        },
      ],
      waiting: [
        {
          bundle: { resources: { CPU: 2 }, labels: [{ key: 'zone', negated: true, values: ['a', 'b'] }] },
          count: 300,
        },
      ],
      gangs: [
        {
          bundles: [
            { resources: { CPU: 2 }, labels: [] },
            { resources: { CPU: 2 }, labels: [] },
          ],
          strategy: 'strict-spread',
        },
        { bundles: [{ resources: { GPU: 1 }, labels: [] }], strategy: 'strict-pack' },
      ],
      requested: [],
    });
  });

  test('of nothing is empty', () => {
    expect(readResourceState(Buffer.alloc(0))).toEqual({ nodes: [], waiting: [], gangs: [], requested: [] });
  });

  test('names what programs request', () => {
    const request = Buffer.from('0a1832160a140a100a0e0a034350551100000000000000401003', 'hex');
    expect(readResourceState(request).requested).toEqual([{ bundle: { resources: { CPU: 2 }, labels: [] }, count: 3 }]);
  });

  test('that is cut off is refused, wherever that is', () => {
    for (let length = 1; length < reply.length; length += 1) {
      expect(() => readResourceState(reply.subarray(0, length))).toThrow(/range|cut off|ten bytes/);
    }
  });
});

describe('draining', () => {
  test('is asked for as Ray writes it', () => {
    expect(drainIdleRequest('ab'.repeat(28), 'idle').toString('hex')).toBe(`0a1c${'ab'.repeat(28)}10011a0469646c65`);
  });

  test('that Ray declines gives its reason', () => {
    expect(readDrainReply(Buffer.from('120462757379', 'hex'))).toEqual({ accepted: false, reason: 'busy' });
    expect(readDrainReply(Buffer.from('0801', 'hex'))).toEqual({ accepted: true, reason: '' });
  });
});

test.each([0, 1, 127, 128, 300, 2 ** 31, 2 ** 45 + 3])('the number %d comes back as it was written', value => {
  expect(new Message(field(9, value)).number(9)).toBe(value);
});
