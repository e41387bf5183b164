/** What the CRD's schema cannot say of a RayService: each problem is a sentence that names the field. */
import type { RayService } from '../kubernetes-objects.js';
import { validate } from '../validation.js';

/** Leaves room for what is added to make a cluster's name of it. */
const longestName = 46;

export interface ServeConfig {
  config: Record<string, unknown>;
  applications: string[];
}

export function serveConfigOf({ spec }: RayService, parseYaml: (text: string) => unknown): ServeConfig | string {
  const text = spec.serveConfigV2 ?? '';
  if (text.trim() === '') return { config: { applications: [] }, applications: [] };
  let parsed: unknown;
  try {
    parsed = parseYaml(text);
  } catch (error) {
    return `serveConfigV2: ${String(error instanceof Error ? error.message : error).split('\n')[0]}`;
  }
  const list = (parsed as { applications?: unknown } | null)?.applications;
  if (!Array.isArray(list)) return 'serveConfigV2: a map with a list of applications is expected';
  const names = list.map((each: { name?: unknown } | null) => String(each?.name ?? 'default'));
  if (new Set(names).size !== names.length) return 'serveConfigV2: two applications have the same name';
  return { config: parsed as Record<string, unknown>, applications: names };
}

export function validateRayService(service: RayService, config: ServeConfig | string): string[] {
  const { metadata, spec } = service;
  const cluster = { metadata: { ...metadata, name: 'a' }, spec: spec.rayClusterConfig };
  return [
    ...(metadata.name.length > longestName
      ? [`metadata.name: at most ${longestName} characters, it has ${metadata.name.length}`]
      : []),
    ...validate(cluster).map(problem => `rayClusterConfig.${problem}`),
    ...(typeof config === 'string' ? [config] : []),
  ];
}
