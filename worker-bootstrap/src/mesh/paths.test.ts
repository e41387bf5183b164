import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type Evidence,
  firstPath,
  longestProbeGapMs,
  nextStep,
  type PathState,
  patienceMs,
  type Route,
  works,
} from './paths.js';

/** What between two machines lets through. */
interface World {
  direct: boolean;
  udp: boolean;
  tcp: boolean;
}
const stepMs = 500;

/** One side of a pair whose other side answers by whatever way something arrives, as WireGuard does. */
class Side {
  state: PathState;
  heardAtMs: number | null = null;
  seen: Route;
  probes = 0;

  constructor(
    readonly candidates: number,
    /** Which of the candidates is the right one. */
    readonly right: number,
    world: World,
  ) {
    this.state = firstPath(0, this.usable(world));
    this.seen = this.state.route;
  }

  usable = (world: World) => ({ 'udp-relay': world.udp, 'tcp-relay': world.tcp });

  carries(world: World, route: Route): boolean {
    if (route !== 'direct') return this.usable(world)[route];
    return world.direct && this.candidates > 0 && this.state.candidate % this.candidates === this.right;
  }

  step(nowMs: number, world: World): void {
    // What was sent last has come back.
    if (this.carries(world, this.seen)) this.heardAtMs = nowMs;
    const evidence: Evidence = {
      nowMs,
      heardAtMs: this.heardAtMs,
      seen: this.seen,
      candidates: this.candidates,
      usable: this.usable(world),
    };
    const { state, act } = nextStep(this.state, evidence);
    this.state = state;
    if (act?.kind === 'use') this.seen = act.route;
    if (act?.kind === 'probe') {
      this.probes += 1;
      // All endpoints are tried, so the right one too.
      const found = act.routes.filter(route => (route === 'direct' ? world.direct : this.usable(world)[route])).at(-1);
      if (found === 'direct') this.state = { ...this.state, candidate: this.right };
      if (found) this.seen = found;
    }
  }
}

const worlds = fc.record({ direct: fc.boolean(), udp: fc.boolean(), tcp: fc.boolean() });
const sides = fc
  .integer({ min: 1, max: 5 })
  .chain(candidates => fc.record({ candidates: fc.constant(candidates), right: fc.nat({ max: candidates - 1 }) }));
const best = ({ direct, udp, tcp }: World): Route | null =>
  direct ? 'direct' : udp ? 'udp-relay' : tcp ? 'tcp-relay' : null;

describe('the path to a peer', () => {
  test('becomes the best that there is, from whatever was before, and stays there', () => {
    fc.assert(
      fc.property(fc.array(worlds, { minLength: 1, maxLength: 5 }), sides, (phases, { candidates, right }) => {
        const side = new Side(candidates, right, phases[0] as World);
        let nowMs = 0;
        for (const world of phases) {
          // Long enough for a round of all routes and endpoints, and for the longest pause between looks.
          const until = nowMs + 2 * longestProbeGapMs + 60_000;
          for (; nowMs < until; nowMs += stepMs) side.step(nowMs, world);
          const wanted = best(world);
          if (wanted !== null) expect(side.seen).toBe(wanted);
          expect(works({ nowMs, heardAtMs: side.heardAtMs })).toBe(wanted !== null);
        }
      }),
    );
  });

  test('that breaks is left within the time that is allowed, where a relay answers', () => {
    fc.assert(
      fc.property(sides, fc.boolean(), ({ candidates, right }, udp) => {
        const side = new Side(candidates, right, { direct: true, udp, tcp: true });
        let nowMs = 0;
        for (; nowMs < 60_000; nowMs += stepMs) side.step(nowMs, { direct: true, udp, tcp: true });
        expect(side.seen).toBe('direct');
        const brokeAtMs = nowMs;
        for (; side.seen === 'direct'; nowMs += stepMs) side.step(nowMs, { direct: false, udp, tcp: true });
        expect(nowMs - brokeAtMs).toBeLessThanOrEqual(patienceMs + 2 * stepMs);
      }),
    );
  });

  test('is left alone while it works: direct for good, relayed with ever rarer looks for a better one', () => {
    const direct = new Side(2, 0, { direct: true, udp: false, tcp: false });
    const relayed = new Side(2, 0, { direct: false, udp: true, tcp: false });
    for (let nowMs = 0; nowMs < 600_000; nowMs += stepMs) {
      direct.step(nowMs, { direct: true, udp: false, tcp: false });
      relayed.step(nowMs, { direct: false, udp: true, tcp: false });
    }
    expect(direct.probes).toBe(0);
    expect(relayed.probes).toBeGreaterThan(20);
    expect(relayed.probes).toBeLessThan(40);
  });

  test('is not lost for a look at a better one', () => {
    const side = new Side(1, 0, { direct: false, udp: true, tcp: false });
    for (let nowMs = 0; nowMs < 120_000; nowMs += stepMs) {
      side.step(nowMs, { direct: false, udp: true, tcp: false });
      expect(side.state.route).toBe('udp-relay');
    }
  });
});
