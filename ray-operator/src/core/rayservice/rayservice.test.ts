import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { RayServiceSpec } from '../../api/rayservice.js';
import type { Pod, RayCluster, RayService } from '../kubernetes-objects.js';
import { annotations, labels } from '../names.js';
import { aCluster, readyStatus } from '../testing/builders.js';
import { type Effect, effectsOf } from './effects.js';
import { namesOf, type Observed, type ServedCluster } from './observation.js';
import { nextRoles } from './roles.js';
import { statusOf } from './status.js';
import { serveConfigOf, validateRayService } from './validation.js';

const aService = (spec: Partial<RayServiceSpec> = {}): RayService => ({
  metadata: { name: 'shop', namespace: 'team', uid: 'uid-shop', generation: 1 },
  spec: { rayClusterConfig: aCluster().spec, rayClusterDeletionDelaySeconds: 60, ...spec },
});

const headReady = {
  state: 'ready',
  conditions: [{ type: 'HeadPodReady', status: 'True' as const, reason: '', message: '', lastTransitionTime: '' }],
};

/** Kubernetes and Serve, reduced to what a RayService does to them. */
class ServiceWorld {
  nowMs = Date.parse('2026-11-27T08:00:00Z');
  clusters = new Map<string, ServedCluster>();
  services: Observed['services'] = [];
  /** Of which the pods would be made: another value is another cluster. */
  podSpec = 'a';
  whole = 'a';
  applications = 'RUNNING';
  unreachable = false;
  readonly done: Effect[] = [];
  private counter = 0;

  constructor(public service: RayService) {}

  observed(): Observed {
    for (const served of this.clusters.values()) {
      served.serve = this.unreachable
        ? { kind: 'unreachable', message: 'connect ECONNREFUSED' }
        : {
            kind: 'serve',
            applications: served.isDeployed ? { shop: { status: this.applications } } : {},
            healthyAddresses: served.isDeployed ? ['10.0.0.1'] : [],
          };
    }
    return {
      nowMs: this.nowMs,
      problems: [],
      clusters: this.clusters,
      services: this.services,
      goal: { podSpec: this.podSpec, whole: this.whole },
      applications: ['shop'],
    };
  }

  step(): Effect[] {
    const observed = this.observed();
    const roles = nextRoles(this.service, observed, () => `shop-${this.counter++}`);
    this.service = { ...this.service, status: statusOf(this.service, observed, roles) };
    if (roles) return [];
    const effects = effectsOf(this.service, observed, text => text);
    for (const effect of effects) this.carryOut(effect);
    this.done.push(...effects);
    return effects;
  }

  settle(steps = 10): void {
    for (let step = 0; step < steps; step += 1) this.step();
  }

  /** A new process knows nothing of what the one before has sent. */
  forget(): void {
    for (const served of this.clusters.values()) served.isDeployed = false;
  }

  private carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'create': {
        const { metadata, spec } = effect.manifest as unknown as RayCluster;
        const pod: Pod = { metadata: { ...metadata, labels: {}, name: `${metadata.name}-head` }, status: readyStatus };
        const cluster = { metadata: { ...metadata, uid: metadata.name }, spec, status: headReady };
        this.clusters.set(metadata.name, { cluster, pods: [pod], serve: { kind: 'unasked' }, isDeployed: false });
        break;
      }
      case 'apply': {
        const kept = this.services.filter(each => each.metadata.name !== effect.manifest.metadata.name);
        this.services = [...kept, effect.manifest as unknown as Observed['services'][number]];
        break;
      }
      case 'deploy': {
        const served = this.clusters.get(effect.cluster.metadata.name);
        if (served) served.isDeployed = true;
        break;
      }
      case 'label':
        effect.pod.metadata.labels = { ...effect.pod.metadata.labels, [labels.serve]: String(effect.serves) };
        break;
      case 'retire':
      case 'scale': {
        const marks: Record<string, string> =
          effect.do === 'retire'
            ? { [annotations.retireAt]: new Date(effect.atMs).toISOString() }
            : { [annotations.appliedHash]: effect.whole };
        const { metadata } = effect.cluster;
        metadata.annotations = { ...metadata.annotations, ...marks };
        break;
      }
      case 'deleteCluster':
        this.clusters.delete(effect.cluster.metadata.name);
        break;
      case 'deleteService':
        this.services = this.services.filter(each => each !== effect.service);
        break;
    }
  }

  get selected(): string[] {
    return this.services.map(
      each => (each.spec as { selector?: Record<string, string> }).selector?.[labels.cluster] ?? '',
    );
  }
}

const serving = (spec: Partial<RayServiceSpec> = {}) => {
  const world = new ServiceWorld(aService(spec));
  world.settle();
  expect(namesOf(world.service)).toEqual({ active: 'shop-0', pending: undefined });
  return world;
};

test('services lead to the first cluster once its applications run', () => {
  const world = new ServiceWorld(aService());
  world.applications = 'DEPLOYING';
  world.settle();
  expect([namesOf(world.service), world.services]).toEqual([{ active: undefined, pending: 'shop-0' }, []]);
  world.applications = 'RUNNING';
  world.settle();
  expect(world.selected).toEqual(['shop-0', 'shop-0']);
  expect(world.service.status).toMatchObject({ serviceStatus: 'Running', numServeEndpoints: 1 });
});

test('a replaced cluster outlives the switch by the delay', () => {
  const world = serving();
  world.podSpec = 'b';
  world.settle();
  expect(world.selected).toEqual(['shop-1', 'shop-1']);
  expect([...world.clusters.keys()]).toEqual(['shop-0', 'shop-1']);
  world.nowMs += 61_000;
  world.settle();
  expect([...world.clusters.keys()]).toEqual(['shop-1']);
});

test('an upgrade that is taken back or changed again leaves what serves alone', () => {
  const world = serving();
  world.applications = 'DEPLOYING';
  world.podSpec = 'b';
  world.settle();
  expect(namesOf(world.service)).toEqual({ active: 'shop-0', pending: 'shop-1' });
  world.podSpec = 'c';
  world.settle();
  expect(namesOf(world.service)).toEqual({ active: 'shop-0', pending: 'shop-2' });
  world.podSpec = 'a';
  world.settle();
  expect(namesOf(world.service)).toEqual({ active: 'shop-0', pending: undefined });
  expect(world.selected).toEqual(['shop-0', 'shop-0']);
});

test('a new operator sends the applications again, and a head that lost them gets them again', () => {
  const world = serving();
  const deployments = () => world.done.filter(effect => effect.do === 'deploy').length;
  expect(deployments()).toBe(1);
  world.forget();
  world.settle();
  expect(deployments()).toBe(2);
});

test('scaling changes the cluster in place', () => {
  const world = serving();
  world.whole = 'b';
  world.settle();
  expect(world.done.filter(effect => effect.do === 'scale')).toHaveLength(1);
  expect([...world.clusters.keys()]).toEqual(['shop-0']);
});

test('with None a changed cluster is not replaced', () => {
  const world = serving({ upgradeStrategy: { type: 'None' } });
  world.podSpec = 'b';
  world.settle();
  expect(namesOf(world.service)).toEqual({ active: 'shop-0', pending: undefined });
});

test('applications are read from the configuration, and what is wrong with it is named', () => {
  const config = (text: string) => serveConfigOf(aService({ serveConfigV2: text }), source => JSON.parse(source));
  expect(config('{"applications": [{"name": "a"}, {}]}')).toMatchObject({ applications: ['a', 'default'] });
  expect(validateRayService(aService(), config('{"applications": 1}'))).toEqual([
    'serveConfigV2: a map with a list of applications is expected',
  ]);
});

test('whatever happens, the services never lead to a cluster that is not there or has never served', () => {
  const happening = fc.constantFrom('a', 'b', 'c', 'cut', 'back', 'deploying', 'running', 'forget', 'minutes');
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), happenings => {
      const world = new ServiceWorld(aService());
      for (const each of happenings) {
        if (each === 'cut' || each === 'back') world.unreachable = each === 'cut';
        else if (each === 'deploying' || each === 'running') world.applications = each.toUpperCase();
        else if (each === 'forget') world.forget();
        else if (each === 'minutes') world.nowMs += 120_000;
        else world.podSpec = each;
        world.step();
        world.step();
        for (const cluster of world.selected) expect(world.clusters.has(cluster)).toBe(true);
        const { active } = namesOf(world.service);
        if (active) expect(world.clusters.get(active)?.pods[0]?.metadata.labels?.[labels.serve]).toBeDefined();
      }
    }),
    { numRuns: 200 },
  );
});
