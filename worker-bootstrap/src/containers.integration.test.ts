/** Leases in real containers of podman, on an image made from Debian packages by the set-up. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { leaseSpecs, until, World } from './testing/world.js';

const image = process.env.IOCLOUD_TEST_IMAGE ?? '';
const asRoot = process.getuid?.() === 0 && image ? test : test.skip;
let world: World;
beforeEach(async () => {
  world = new World();
  await world.controlPlane.listen();
});
afterEach(async () => {
  await world.destroy();
}, 60_000);

describe('a lease in a container', () => {
  asRoot(
    'smoke',
    async () => {
      const specs = leaseSpecs(0);
      const [head] = specs;
      world.startAgent({ isolation: 'container', container: { image, diskBytes: 512 * 2 ** 20 } });
      world.controlPlane.desire(specs);
      try {
        await until('ready', () => {
          const lease = world.controlPlane.lease(head.leaseId);
          if (lease?.phase === 'exited') throw new Error(`exited: ${lease.message}\n${world.output}`);
          return lease?.phase === 'ready';
        });
      } catch (e) {
        process.stderr.write(
          world.output +
            '\n' +
            (await import('node:child_process'))
              .execSync(
                `ls -lan ${world.stateDir}/leases/*; cat ${world.stateDir}/leases/*/ray.log ${world.stateDir}/leases/*/supervisor.log; podman ps -a; podman top -l; true`,
              )
              .toString(),
        );
        throw e;
      }
      expect(1).toBe(1);
    },
    120_000,
  );
});
