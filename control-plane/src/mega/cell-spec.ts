/** What a cell is to the domain of clusters: a plain cluster without an end of its own. */
import type { PlacedSpec } from '../clusters/ports.js';
import type { StoredSpec } from './store.js';

export const cellSpec = ({ name, cell }: StoredSpec, ordinal: number): PlacedSpec => ({
  ...cell,
  name: `${name}-${ordinal}`,
  type: 'ray',
  budgetMicroUsd: null,
  until: null,
  idleTimeoutSeconds: null,
});
