/** Calendar months in UTC, which is what an invoice is for. Pure. */

/** `2027-01`. */
export type Month = string;

export const monthOf = (atMs: number): Month => new Date(atMs).toISOString().slice(0, 7);

export const monthAfter = (month: Month): Month => monthOf(endOf(month));

export const beginOf = (month: Month): number => Date.parse(`${month}-01T00:00:00Z`);

export function endOf(month: Month): number {
  const begin = new Date(beginOf(month));
  return Date.UTC(begin.getUTCFullYear(), begin.getUTCMonth() + 1, 1);
}

export const dayOf = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10);
