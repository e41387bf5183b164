/** Could the ground, as it is, carry such work if nothing ran and no place were kept for others? */
import type { Books } from './books.js';
import type { Entry } from './entry.js';
import { isRefusal } from './ground.js';

type Priced = { microUsdPerHour: number };

/** Known of a shape. What is to be had at a price is to be had at each higher one, so that few prices are asked for. */
export interface Hopes {
  /** The highest price, in micro-USD per hour, at which there is none. */
  noneAt: number;
  /** The lowest price at which there is one. */
  someAt: number | null;
}

/** Not even at that price, or at any where it is null. Not to be asked while reservations are lifted. */
export function isHopeless<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  maxMicroUsdPerHour: number | null,
): boolean {
  const price = maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY;
  const { shape } = entry.workload;
  const hopes: Hopes = books.hopes.get(shape) ?? { noneAt: Number.NEGATIVE_INFINITY, someAt: null };
  books.hopes.set(shape, hopes);
  if (price <= hopes.noneAt) return true;
  if (hopes.someAt !== null && price >= hopes.someAt) return false;
  const fits = couldEverFit(books, entry, maxMicroUsdPerHour);
  if (fits) hopes.someAt = price;
  else hopes.noneAt = price;
  return !fits;
}

function couldEverFit<Request, Placement extends Priced>(
  { ground, running, reservations }: Books<Request, Placement>,
  { workload }: Entry<Request, Placement>,
  maxMicroUsdPerHour: number | null,
): boolean {
  if (ground.fitsEmpty) return ground.fitsEmpty(workload.request, maxMicroUsdPerHour);
  const fits = () => !isRefusal(ground.place(workload.request, maxMicroUsdPerHour));
  return reservations.without(reservations.all(), () => {
    if (fits()) return true;
    for (const { id } of running) ground.release(id);
    const answer = fits();
    for (const { id, held } of running) if (held) ground.take(id, held.placement);
    return answer;
  });
}
