/** Expressions that many panels are made of. */

/**
 * Of a histogram, over all replicas. `metric` has no `_bucket`; `labels` come with their braces; `by`: a label that lines are
 * kept apart by.
 */
export function quantile(
  q: number,
  metric: string,
  { labels = '', by, over = '$__rate_interval' }: { labels?: string; by?: string; over?: string } = {},
): string {
  const kept = by === undefined ? 'le' : `le, ${by}`;
  return `histogram_quantile(${q}, sum by (${kept}) (rate(${metric}_bucket${labels}[${over}])))`;
}
