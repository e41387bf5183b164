/** As much of PromQL as it takes to know which metrics an expression asks for. */
import { parser } from '@prometheus-io/lezer-promql';

/** Throws if it is no PromQL; functions and labels are not metrics. */
export function metricsIn(expr: string): string[] {
  const names = new Set<string>();
  parser.parse(expr).iterate({
    enter: node => {
      if (node.type.isError) throw new Error(`no PromQL near "${expr.slice(node.from, node.from + 20)}": ${expr}`);
      if (node.name === 'VectorSelector') {
        const identifier = node.node.getChild('Identifier');
        if (identifier) names.add(expr.slice(identifier.from, identifier.to));
      }
    },
  });
  return [...names];
}

/** A histogram or summary is in the catalogue by its own name. */
export const family = (metric: string): string => metric.replace(/_(bucket|sum|count)$/, '');
