import { meshEndpoint } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { candidates, type Whereabouts } from './candidates.js';

const machine = (own: string, remoteAddress: string | null, observed: string[] = []): Whereabouts => ({
  endpoints: [`${own}:5000`],
  listenPort: 5000,
  remoteAddress,
  observed,
});

describe('a machine is looked for', () => {
  test('behind another NAT: where it is seen, then at the NAT with its own port, its own address last', () => {
    const here = machine('10.0.0.5', '192.0.2.1');
    const there = machine('10.9.0.5', '192.0.2.9', ['192.0.2.9:40000']);
    expect(candidates(here, there)).toEqual(['192.0.2.9:40000', '192.0.2.9:5000', '10.9.0.5:5000']);
  });

  test('behind the same NAT: at its own address first', () => {
    const home = machine('10.0.1.5', '192.0.2.1', ['192.0.2.1:40000']);
    expect(candidates(machine('10.0.0.5', '192.0.2.1'), home)[0]).toBe('10.0.1.5:5000');
    // Addresses that look alike are no proof: many networks have the same.
    expect(candidates(machine('10.0.1.9', '192.0.2.7'), home)[0]).toBe('192.0.2.1:40000');
  });

  test('never at the loopback address of the control plane’s own machine', () => {
    expect(candidates(machine('10.0.0.5', '192.0.2.1'), machine('10.9.0.5', '127.0.0.1'))).toEqual(['10.9.0.5:5000']);
  });

  test('at endpoints that the contract knows, none twice', () => {
    const address = fc.ipV4();
    const whereabouts = fc.record({
      endpoints: fc.array(address.map(host => `${host}:5000`)),
      listenPort: fc.option(fc.constant(5000)),
      remoteAddress: fc.option(fc.oneof(address, fc.constant('2001:db8::7'))),
      observed: fc.array(address.map(host => `${host}:40000`)),
    });
    fc.assert(
      fc.property(whereabouts, whereabouts, (from, to) => {
        const found = candidates(from, to);
        expect(new Set(found).size).toBe(found.length);
        for (const endpoint of found) expect(meshEndpoint.safeParse(endpoint).success).toBe(true);
      }),
    );
  });
});
