/**
 * Spans on their way to an OpenTelemetry collector, by OTLP over HTTP. The SDK is loaded only where there is a collector
 * (OTEL_EXPORTER_OTLP_ENDPOINT; the exporter reads the other variables of OpenTelemetry, such as its headers, by itself).
 */
import type { Attributes, HrTime } from '@opentelemetry/api';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import type { Logger } from './log.js';
import { counter } from './metrics.js';

const told = counter('iocloud_trace_spans_total', 'Spans handed to the collector', ['result']);

/** A span whose beginning, end and ids are known: told after the fact, from what is on record. */
export interface EndedSpan {
  /** Of whom it is told. */
  service: string;
  name: string;
  traceId: string;
  spanId: string;
  parentId: string | null;
  startedAt: Date;
  endedAt: Date;
  /** Why; null: it went well. */
  failed: string | null;
  attributes: Attributes;
}

export interface SpanSink {
  /** Never fails and keeps nobody waiting: a collector that does not answer costs spans and nothing else. */
  tell(spans: readonly EndedSpan[]): void;
  /** What has been told is handed over, as far as the collector takes it. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** The SDK's bounds: beyond the first, spans are dropped. */
const limits = {
  maxQueueSize: 8_192,
  maxExportBatchSize: 512,
  scheduledDelayMillis: 1_000,
  exportTimeoutMillis: 5_000,
};

export async function openSpanSink(version: string, log: Logger): Promise<SpanSink> {
  const [sdk, { OTLPTraceExporter }, { resourceFromAttributes }, { SpanKind, SpanStatusCode, TraceFlags }] =
    await Promise.all([
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/api'),
    ]);
  const processor = new sdk.BatchSpanProcessor({ exporter: counted(new OTLPTraceExporter(), log), ...limits });
  const resources = new Map<string, ReturnType<typeof resourceFromAttributes>>();
  const resourceOf = (service: string) => {
    const known = resources.get(service);
    if (known) return known;
    const made = resourceFromAttributes({ 'service.name': service, 'service.version': version });
    resources.set(service, made);
    return made;
  };
  const contextOf = (traceId: string, spanId: string) => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED });
  const readable = (span: EndedSpan): ReadableSpan => ({
    name: span.name,
    kind: SpanKind.INTERNAL,
    spanContext: () => contextOf(span.traceId, span.spanId),
    ...(span.parentId === null ? {} : { parentSpanContext: contextOf(span.traceId, span.parentId) }),
    startTime: hrTime(span.startedAt.getTime()),
    endTime: hrTime(span.endedAt.getTime()),
    duration: hrTime(span.endedAt.getTime() - span.startedAt.getTime()),
    status:
      span.failed === null ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: span.failed },
    attributes: span.attributes,
    links: [],
    events: [],
    ended: true,
    resource: resourceOf(span.service),
    instrumentationScope: { name: 'iocloud', version },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  });
  return {
    tell: spans => {
      for (const span of spans) processor.onEnd(readable(span));
    },
    flush: () => processor.forceFlush().catch(() => undefined),
    close: () => processor.shutdown().catch(() => undefined),
  };
}

const hrTime = (ms: number): HrTime => [Math.floor(ms / 1_000), Math.round((ms % 1_000) * 1e6)];

const complaintEveryMs = 60_000;

/** Counts what has been handed over, and says now and then that it cannot be. */
function counted(exporter: SpanExporter, log: Logger): SpanExporter {
  let complainedAtMs = Number.NEGATIVE_INFINITY;
  return {
    export: (spans, done) =>
      exporter.export(spans, result => {
        const isDone = result.code === 0;
        told.inc({ result: isDone ? 'exported' : 'failed' }, spans.length);
        if (!isDone && performance.now() - complainedAtMs > complaintEveryMs) {
          complainedAtMs = performance.now();
          log.warn({ error: result.error?.message }, 'the collector of traces does not take them; spans are lost');
        }
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush ? { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() } : {}),
  };
}
