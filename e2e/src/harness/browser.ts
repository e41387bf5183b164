/** The browser of the tests: the machine's own Chromium. */
import { accessSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export function findChromium(): string {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
      try {
        accessSync(join(dir, name));
        return join(dir, name);
      } catch {
        // Not there: the next place.
      }
    }
  }
  throw new Error('no Chromium on the PATH: run the tests by `make test`, which installs it where it can');
}
