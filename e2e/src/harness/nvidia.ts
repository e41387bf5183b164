/** An `nvidia-smi` that tells of one H100 as hot as the test says: no GPU is at hand. Goes on a machine's PATH. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface PretendedGpu {
  /** For the machine's environment. */
  PATH: string;
  setTemperature(celsius: number): void;
}

export function pretendGpu(directory: string): PretendedGpu {
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  const setTemperature = (celsius: number) => writeFileSync(join(bin, 'temperature'), String(celsius));
  setTemperature(60);
  const program = join(bin, 'nvidia-smi');
  writeFileSync(
    program,
    `#!/bin/sh
case "$1" in
*uuid*) echo '0, GPU-e2e, NVIDIA H100 80GB HBM3, 81559' ;;
*) echo "0, 00000000:3B:00.0, 50, 1000, $(cat '${bin}/temperature'), 300, 700, 0x0, 0, 0" ;;
esac
`,
  );
  chmodSync(program, 0o755);
  return { PATH: `${bin}:${process.env.PATH}`, setTemperature };
}
