/** W3C Trace Context: https://www.w3.org/TR/trace-context/#traceparent-header. Pure. */

export interface TraceContext {
  /** 32 hex digits, not all 0. */
  traceId: string;
  /** 16 hex digits, not all 0. */
  parentId: string;
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Null: not one that may be continued. */
export function parseTraceParent(text: string): TraceContext | null {
  const [, version = 'ff', traceId = '', parentId = '', , rest] = form.exec(text.trim()) ?? [];
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return null;
  return { traceId, parentId };
}

/** All is recorded: there are few jobs for each of the calls that they make. */
export const traceParent = ({ traceId, parentId }: TraceContext): string => `00-${traceId}-${parentId}-01`;

/** Ids that follow from a name, so that whoever tells of the same thing again tells it under the same id. */
export function idsOf(hash: (text: string) => string, name: string): { traceId: string; spanId: string } {
  const digits = hash(`iocloud trace ${name}`);
  return { traceId: digits.slice(0, 32), spanId: digits.slice(32, 48) };
}
