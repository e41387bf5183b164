/** The charts as Helm renders them, with the sets of values that the tests hold against a real API server. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { KubernetesObject } from '@iocloud/ray-operator';
import { parse, parseAllDocuments } from 'yaml';

/** From the sources as from what is built of them, which lies one deeper. */
const charts = ['../../charts/', '../../../charts/']
  .map(path => fileURLToPath(new URL(path, import.meta.url)))
  .find(path => existsSync(`${path}ray-operator/Chart.yaml`));

export type ChartName = 'ray-operator' | 'iocloud';
type Values = Record<string, unknown>;

/** Helm as `go install` makes it knows no version of Kubernetes: it is told the bed's. */
const kubeVersion = ['--kube-version', '1.34.4'];

export async function helm(...args: string[]): Promise<string> {
  const program = process.env.IOCLOUD_TEST_HELM;
  if (!program) throw new Error('no Helm: `node scripts/setup.mjs --tests` builds it and prints IOCLOUD_TEST_HELM');
  const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 64 << 20 });
  return stdout;
}

/**
 * A copy of the chart that can be rendered without the internet: in the place of each dependency stands a chart of its
 * name and version that shows which values it was given.
 */
export async function renderable(chart: ChartName, directory: string): Promise<string> {
  const copy = join(directory, chart);
  await cp(`${charts}${chart}`, copy, { recursive: true });
  const { dependencies = [] } = parse(await helm('show', 'chart', copy)) as {
    dependencies?: { name: string; version: string }[];
  };
  for (const { name, version } of dependencies) {
    const templates = join(copy, 'charts', name, 'templates');
    await mkdir(templates, { recursive: true });
    await writeFile(join(copy, 'charts', name, 'Chart.yaml'), JSON.stringify({ apiVersion: 'v2', name, version }));
    await writeFile(
      join(templates, 'values.yaml'),
      [
        'apiVersion: v1',
        'kind: ConfigMap',
        'metadata: {name: {{ .Release.Name }}-{{ .Chart.Name }}}',
        'data: {values: {{ toJson .Values | quote }}}',
      ].join('\n'),
    );
  }
  return copy;
}

export interface Release {
  /** As rendered, for kubectl. */
  file: string;
  objects: (KubernetesObject & { spec?: unknown; data?: Record<string, string> })[];
}

let count = 0;

/** Renders into a file beside the chart. Rejects, with Helm's words, where values do not fit the schema. */
export async function render(chart: string, name: string, namespace: string, values: Values): Promise<Release> {
  const file = `${chart}-${++count}.yaml`;
  await writeFile(`${file}.values.json`, JSON.stringify(values));
  const text = await helm('template', name, chart, '-n', namespace, '-f', `${file}.values.json`, ...kubeVersion);
  await writeFile(file, text);
  const objects = parseAllDocuments(text).flatMap(document => document.toJS() ?? []);
  return { file, objects };
}

export async function lint(chart: string, values: Values): Promise<string> {
  const file = `${chart}-lint.json`;
  await writeFile(file, JSON.stringify(values));
  return helm('lint', '--strict', chart, '-f', file, ...kubeVersion);
}

/** By name; each is a whole way to run the chart. */
export const valueSets: Record<ChartName, Record<string, Values>> = {
  'ray-operator': {
    defaults: {},
    'one namespace': { watchNamespace: 'team' },
    'highly available': {
      replicaCount: 3,
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule' },
      ],
      priorityClassName: 'system-cluster-critical',
    },
    everything: {
      metrics: { port: 9090, serviceMonitor: { enabled: true, labels: { release: 'prometheus' } } },
      networkPolicy: { metricsFrom: [{ namespaceSelector: { matchLabels: { team: 'sre' } } }], egressPorts: [6443] },
      serviceAccount: { annotations: { owner: 'sre' } },
      image: { digest: `sha256:${'0'.repeat(64)}` },
      imagePullSecrets: [{ name: 'registry' }],
      settings: { logLevel: 'debug', waitForHead: false },
      podAnnotations: { 'example.com/a': 'b' },
      podLabels: { tier: 'platform' },
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
      extraEnv: [{ name: 'NODE_OPTIONS', value: '--max-old-space-size=256' }],
    },
    'nothing but itself': {
      crds: { install: false },
      rbac: { create: false },
      serviceAccount: { create: false, name: 'given' },
      networkPolicy: { enabled: false },
      podDisruptionBudget: { enabled: false },
      replicaCount: 1,
    },
  },
  iocloud: {
    defaults: {},
    'external databases': {
      publicUrl: 'https://iocloud.example',
      database: { existingSecret: 'postgres', key: 'uri' },
      redis: { existingSecret: 'redis', key: 'url' },
      ingress: {
        enabled: true,
        className: 'nginx',
        hosts: ['iocloud.example'],
        tls: [{ secretName: 'iocloud-tls', hosts: ['iocloud.example'] }],
      },
    },
    'databases of its own': { database: { bundled: true }, redis: { bundled: true } },
    everything: {
      database: { bundled: true },
      redis: { bundled: true },
      ingress: { enabled: true, hosts: ['iocloud.example'], annotations: { 'example.com/a': 'b' } },
      ssh: { publicAddress: 'ssh.example:2222', service: { loadBalancerSourceRanges: ['10.0.0.0/8'] } },
      settings: { IOCLOUD_BILLING: 'prepaid', IOCLOUD_PACKAGE_TTL_SECONDS: 1_209_600, IOCLOUD_FEE_PERCENT: '1.5' },
      configFiles: { 'pricing.json': '{}' },
      agentRelease: { existingSecret: 'agent-release' },
      rbac: { clusterRules: [{ apiGroups: ['ray.io'], resources: ['rayclusters'], verbs: ['get', 'list'] }] },
      serviceMonitor: { enabled: true, apiKeySecret: { name: 'metrics-key' } },
      dashboards: { enabled: true },
      prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
      networkPolicy: {
        httpFrom: [{ namespaceSelector: { matchLabels: { app: 'ingress-nginx' } } }],
        egress: [{ to: [{ podSelector: {} }] }],
      },
      persistence: { size: '100Gi', storageClass: 'fast' },
      image: { digest: `sha256:${'0'.repeat(64)}` },
      extraVolumes: [{ name: 'checkpoints', emptyDir: {} }],
      extraVolumeMounts: [{ name: 'checkpoints', mountPath: '/checkpoints' }],
    },
    'nothing but itself': {
      secrets: { bootstrap: false },
      serviceAccount: { create: false },
      networkPolicy: { enabled: false },
      podDisruptionBudget: { enabled: false },
      ssh: { service: { type: 'NodePort', nodePort: 30_022 } },
    },
  },
};

/** As much of the Prometheus operator's kinds as the charts use: a field that they do not have is refused. */
export const prometheusKinds = [
  prometheusKind('ServiceMonitor', {
    required: ['selector', 'endpoints'],
    properties: {
      selector: {
        type: 'object',
        properties: { matchLabels: { type: 'object', additionalProperties: { type: 'string' } } },
      },
      endpoints: { type: 'array', items: endpoint() },
    },
  }),
  prometheusKind('PrometheusRule', {
    required: ['groups'],
    properties: {
      groups: {
        type: 'array',
        items: {
          type: 'object',
          required: ['name', 'rules'],
          properties: {
            name: { type: 'string' },
            interval: { type: 'string' },
            rules: { type: 'array', minItems: 1, items: rule() },
          },
        },
      },
    },
  }),
];

function prometheusKind(kind: string, spec: Record<string, unknown>) {
  const plural = `${kind.toLowerCase()}s`;
  const openAPIV3Schema = { type: 'object', required: ['spec'], properties: { spec: { type: 'object', ...spec } } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.monitoring.coreos.com` },
    spec: {
      group: 'monitoring.coreos.com',
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
}

function rule() {
  const text = { type: 'string' };
  const texts = { type: 'object', additionalProperties: text };
  return {
    type: 'object',
    required: ['expr'],
    properties: {
      alert: text,
      record: text,
      expr: { 'x-kubernetes-int-or-string': true },
      for: text,
      keep_firing_for: text,
      labels: texts,
      annotations: texts,
    },
  };
}

function endpoint() {
  const text = { type: 'string' };
  const credentials = { type: 'object', required: ['key'], properties: { name: text, key: text } };
  return {
    type: 'object',
    properties: {
      port: text,
      path: text,
      interval: { type: 'string', pattern: '^(([0-9]+(ms|s|m|h))+)$' },
      authorization: { type: 'object', properties: { type: text, credentials } },
      relabelings: { type: 'array', items: { type: 'object', properties: { targetLabel: text, replacement: text } } },
    },
  };
}
