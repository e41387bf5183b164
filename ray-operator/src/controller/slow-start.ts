/**
 * Many like requests in batches that double while all goes well: where the first fails (a quota, a webhook), one request
 * has been spent and not hundreds.
 */
export async function inGrowingBatches<T>(
  items: T[],
  largest: number,
  work: (item: T) => Promise<void>,
): Promise<{ done: number; errors: unknown[] }> {
  let done = 0;
  let size = 1;
  for (let start = 0; start < items.length; ) {
    const batch = items.slice(start, start + size);
    const results = await Promise.allSettled(batch.map(work));
    const errors = results.flatMap(result => (result.status === 'rejected' ? [result.reason as unknown] : []));
    done += batch.length - errors.length;
    if (errors.length > 0) return { done, errors };
    start += batch.length;
    size = Math.min(size * 2, largest);
  }
  return { done, errors: [] };
}
