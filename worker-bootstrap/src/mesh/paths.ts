/**
 * How what is for one peer goes: straight there, through a UDP relay, or through a stream of the agent's connection. Pure.
 *
 * WireGuard sends where the last authentic packet came from. So each side only has to try: what arrives by a better way moves
 * the other side to it, and a relay carries for whoever uses it. What has been heard, and where from, is all the evidence.
 */
export type Route = 'direct' | 'udp-relay' | 'tcp-relay';

/** After silence, which routes are tried next, in this order, of those that can be used. */
export const afterSilence: Record<Route, readonly Route[]> = {
  direct: ['udp-relay', 'tcp-relay', 'direct'],
  'udp-relay': ['tcp-relay', 'direct', 'udp-relay'],
  'tcp-relay': ['direct', 'udp-relay', 'tcp-relay'],
};
/** Which routes are better, and looked for while this one works. */
export const better: Record<Route, readonly Route[]> = {
  direct: [],
  'udp-relay': ['direct'],
  'tcp-relay': ['udp-relay', 'direct'],
};

/** Each side is heard at least so often on a path that works: WireGuard's persistent keepalive. Seconds. */
export const keepaliveSeconds = 2;
/** A path that has worked is given up after so long a silence; one that has not yet, sooner. Milliseconds. */
export const patienceMs = 5_000;
export const firstPatienceMs: Record<Route, number> = { direct: 1_000, 'udp-relay': 2_000, 'tcp-relay': 3_000 };
/**
 * Pauses between looks for a better path. The longest is shorter than any NAT forgets what it let out (RFC 4787: 2 minutes,
 * many keep 30 s), so that the looks of both sides meet.
 */
export const firstProbeGapMs = 1_000;
export const longestProbeGapMs = 20_000;
/** After so long a silence the peer may have forgotten the session: a handshake is begun anew. */
export const staleMs = 120_000;

export interface PathState {
  route: Route;
  /** Which of the peer's endpoints is tried, where the route is direct. */
  candidate: number;
  changedAtMs: number;
  probeAtMs: number;
  probeGapMs: number;
}

export interface Evidence {
  nowMs: number;
  /** When something authentic last came from the peer; null: never yet. */
  heardAtMs: number | null;
  /** The way by which it came, or else that by which we send. */
  seen: Route;
  /** Endpoints of the peer that are known. */
  candidates: number;
  /** Relays that answer. */
  usable: Readonly<Record<'udp-relay' | 'tcp-relay', boolean>>;
}

export type Act =
  /** Send this way from now on; `fresh`: with a handshake that begins at once. */
  | { kind: 'use'; route: Route; candidate: number; fresh: boolean }
  /** One packet along each of these ways, then back. */
  | { kind: 'probe'; routes: readonly Route[] }
  | null;

export function firstPath(nowMs: number, usable: Evidence['usable']): PathState {
  const route = usable['udp-relay'] ? 'udp-relay' : 'direct';
  return { route, candidate: 0, changedAtMs: nowMs, probeAtMs: nowMs, probeGapMs: firstProbeGapMs };
}

/** Whether the peer is heard, as far as one can know. */
export const works = ({ nowMs, heardAtMs }: Pick<Evidence, 'nowMs' | 'heardAtMs'>): boolean =>
  heardAtMs !== null && nowMs - heardAtMs <= patienceMs;

export function nextStep(state: PathState, evidence: Evidence): { state: PathState; act: Act } {
  const { nowMs, heardAtMs } = evidence;
  if (heardAtMs !== null && heardAtMs >= state.changedAtMs && works(evidence)) return stay(state, evidence);
  const isNew = heardAtMs === null || heardAtMs < state.changedAtMs;
  const patience = isNew ? firstPatienceMs[state.route] : patienceMs;
  if (nowMs - Math.max(state.changedAtMs, heardAtMs ?? 0) < patience) return { state, act: null };
  return move(state, evidence);
}

/** It works: it is the way by which the peer was heard, and a better one is looked for. */
function stay(state: PathState, { nowMs, seen, candidates, usable }: Evidence): { state: PathState; act: Act } {
  const here = seen === state.route ? state : { ...state, route: seen, probeAtMs: nowMs, probeGapMs: firstProbeGapMs };
  const routes = better[seen].filter(route => (route === 'direct' ? candidates > 0 : usable[route as 'udp-relay']));
  if (routes.length === 0 || nowMs < here.probeAtMs) return { state: here, act: null };
  const probeGapMs = Math.min(2 * here.probeGapMs, longestProbeGapMs);
  return { state: { ...here, probeAtMs: nowMs + here.probeGapMs, probeGapMs }, act: { kind: 'probe', routes } };
}

/** It does not: all endpoints in turn, then the relays, and round again. */
function move(state: PathState, { nowMs, heardAtMs, candidates, usable }: Evidence): { state: PathState; act: Act } {
  const fresh = heardAtMs === null || nowMs - heardAtMs > staleMs;
  const hasMore = state.route === 'direct' && fresh && state.candidate + 1 < candidates;
  const can = (route: Route) => (route === 'direct' ? candidates > 0 : usable[route]);
  const route = hasMore ? 'direct' : afterSilence[state.route].find(can);
  if (route === undefined) return { state: { ...state, changedAtMs: nowMs }, act: null };
  const candidate = hasMore ? state.candidate + 1 : route === 'direct' ? nextOf(state, candidates) : 0;
  const moved = { route, candidate, changedAtMs: nowMs, probeAtMs: nowMs, probeGapMs: firstProbeGapMs };
  return { state: moved, act: { kind: 'use', route, candidate, fresh } };
}

const nextOf = ({ route, candidate }: PathState, candidates: number) =>
  route === 'direct' ? (candidate + 1) % candidates : 0;

/** A better path is looked for at once: there is news of where the peer may be. */
export const withNews = (state: PathState, nowMs: number): PathState => ({
  ...state,
  probeAtMs: nowMs,
  probeGapMs: firstProbeGapMs,
});
