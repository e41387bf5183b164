import { expect, test } from '@jest/globals';
import { headIngress } from './ingress.js';
import { aCluster, aTemplate } from './testing/builders.js';

const head = (fields: object = {}) => ({
  headGroupSpec: { enableIngress: true, template: aTemplate('ray-head'), ...fields },
});

test('without enableIngress there is none', () => {
  expect(headIngress(aCluster())).toEqual([]);
  expect(headIngress(aCluster(head({ enableIngress: false })))).toEqual([]);
});

test('it leads to the dashboard of the head, by a path of the name of the cluster', () => {
  const [ingress] = headIngress(aCluster(head()));
  expect(ingress).toMatchObject({
    metadata: {
      name: 'demo-head-ingress',
      namespace: 'team',
      labels: { 'ray.io/cluster': 'demo', 'ray.io/identifier': 'demo-head' },
      ownerReferences: [{ kind: 'RayCluster', name: 'demo' }],
    },
    spec: {
      rules: [
        {
          http: {
            paths: [{ path: '/demo/(.*)', backend: { service: { name: 'demo-head-svc', port: { number: 8265 } } } }],
          },
        },
      ],
    },
  });
  expect(ingress?.spec).not.toHaveProperty('ingressClassName');
});

test('annotations of the cluster are handed on, its class as the field that it has become', () => {
  const annotations = {
    'kubernetes.io/ingress.class': 'nginx',
    'nginx.ingress.kubernetes.io/rewrite-target': '/$1',
    'kubectl.kubernetes.io/last-applied-configuration': '{}',
  };
  const [ingress] = headIngress(aCluster(head(), { annotations }));
  expect(ingress?.metadata.annotations).toEqual({ 'nginx.ingress.kubernetes.io/rewrite-target': '/$1' });
  expect(ingress?.spec).toMatchObject({ ingressClassName: 'nginx' });
});

test('a dashboard on a port of its own is found there', () => {
  const template = aTemplate('ray-head');
  const ports = [{ name: 'dashboard', containerPort: 9265 }];
  const containers = template.spec.containers.map(container => ({ ...container, ports }));
  const [ingress] = headIngress(aCluster(head({ template: { spec: { containers } } })));
  expect(JSON.stringify(ingress)).toContain('"port":{"number":9265}');
});
