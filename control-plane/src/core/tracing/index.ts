/** Traces: what they are called, and which spans a job has. */
export { type AttemptFacts, type JobFacts, type JobSpan, type SpansWhen, spansOf } from './job-spans.js';
export { idsOf, parseTraceParent, type TraceContext, traceParent } from './trace-context.js';
