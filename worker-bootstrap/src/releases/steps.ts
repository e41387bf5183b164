/** The steps from one release to another, pure: each is one replacement of the state file. */
import type { InstallState, Release, Trial } from './state.js';

/** A release that has not proven itself in so many starts goes. */
export const mostStarts = 3;

export interface Start {
  release: Release;
  /** The trial that this start is, or null. */
  trial: Trial | null;
  /** To be written before the release runs: a start that nobody counted could repeat for ever. */
  state: InstallState;
}

/** What is to run now. */
export function startOf(state: InstallState): Start {
  const { trial } = state;
  if (!trial) return { release: state.current, trial: null, state };
  if (trial.starts >= mostStarts) {
    const after = gaveUp(
      state,
      `it ended ${mostStarts} times before it was back at the control plane with its Ray nodes`,
    );
    return { release: after.current, trial: null, state: after };
  }
  const counted = { ...trial, starts: trial.starts + 1 };
  return { release: trial.release, trial: counted, state: { ...state, trial: counted } };
}

/** Why this release may not run here, or null. Its signature has been checked before. */
export function objection(state: InstallState, offered: Omit<Release, 'name'>): string | null {
  const { version, serial, floor, sha256 } = offered;
  if (floor > serial) return `${version} (serial ${serial}) forbids itself: its floor is ${floor}`;
  if (serial < state.floor) {
    return `${version} (serial ${serial}) lies below ${state.floor}, under which nothing runs here any more`;
  }
  const known = [state.current, state.previous].find(one => one?.serial === serial);
  if (known) return known.sha256 === sha256 ? null : `serial ${serial} belongs to another archive, which has run here`;
  if (serial <= state.highestSerial) {
    return `${version} (serial ${serial}) is older than ${state.highestSerial}, and not what ran here before`;
  }
  return null;
}

/** What the file is to say once the release lies there. */
export function onTrial(state: InstallState, trial: Omit<Trial, 'starts'>, key: string): InstallState {
  return { ...state, key, trial: { ...trial, starts: 0 }, failed: null };
}

/** The release on trial has proven itself. */
export function settled(state: InstallState): InstallState {
  if (!state.trial) return state;
  const { release } = state.trial;
  return {
    ...state,
    highestSerial: Math.max(state.highestSerial, release.serial),
    floor: Math.max(state.floor, release.floor),
    current: release,
    previous: release.sha256 === state.current.sha256 ? state.previous : state.current,
    trial: null,
    failed: null,
  };
}

/** Back to what ran before. */
export function gaveUp(state: InstallState, reason: string): InstallState {
  if (!state.trial) return state;
  return { ...state, trial: null, failed: { attempt: state.trial.attempt, reason } };
}

/** Directories of releases that something may still need. */
export const needed = ({ current, previous, trial }: InstallState): Set<string> =>
  new Set([current, previous, trial?.release].flatMap(one => (one ? [one.name] : [])));
