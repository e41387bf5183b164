/** Kubernetes conditions: the time of a transition moves only when the status does. */
import type { Condition } from '../api/raycluster.js';

export interface Finding {
  type: string;
  status: 'True' | 'False';
  reason: string;
  message: string;
}

export function withFindings(previous: Condition[], findings: Finding[], generation: number, now: string): Condition[] {
  const types = new Set(findings.map(({ type }) => type));
  return [
    ...previous.filter(({ type }) => !types.has(type)),
    ...findings.map(finding => {
      const before = previous.find(({ type }) => type === finding.type);
      const lastTransitionTime = before?.status === finding.status ? before.lastTransitionTime : now;
      return { ...finding, lastTransitionTime, observedGeneration: generation };
    }),
  ].sort((a, b) => a.type.localeCompare(b.type));
}

export const isTrue = (conditions: Condition[] | undefined, type: string) =>
  conditions?.some(condition => condition.type === type && condition.status === 'True') ?? false;
