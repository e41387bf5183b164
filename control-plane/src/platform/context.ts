/** The ids under which work is done: they go along with it through every await, and into each line that it logs. */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface Ids {
  request_id?: string;
  trace_id?: string;
  job?: string;
  submission_id?: string;
  attempt?: string;
  cluster?: string;
}

const storage = new AsyncLocalStorage<Ids>();

/** Runs `work` under these ids beside those that there are. */
export const withIds = <T>(ids: Ids, work: () => T): T => storage.run({ ...storage.getStore(), ...ids }, work);

/** Adds ids to what goes on now, once they are known. */
export function addIds(ids: Ids): void {
  const known = storage.getStore();
  if (known) Object.assign(known, ids);
}

export const currentIds = (): Ids => storage.getStore() ?? {};
