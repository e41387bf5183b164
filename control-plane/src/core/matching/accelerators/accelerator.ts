/** What is known of an accelerator model. A figure that its maker does not state plainly is null. */
export interface Accelerator {
  /** What this system calls it. */
  slug: string;
  vendor: 'nvidia' | 'amd' | 'intel' | 'apple';
  name: string;
  /** As nvidia-smi, rocm-smi and their like report it. */
  aliases: string[];
  /** What Ray calls it (ray.util.accelerators), where Ray has a name for it. */
  rayType: string | null;
  /** Of one device; null where one name stands for several sizes. */
  memoryBytes: number | null;
  /** FP16 or BF16 on tensor cores, accumulated in FP32, without sparsity. */
  fp16Tflops: number | null;
  /** Of its memory, in 10⁹ bytes a second. */
  bandwidthGBps: number | null;
  /** To its neighbours, both directions together, in 10⁹ bytes a second. */
  interconnect: { kind: 'pcie' | 'nvlink' | 'infinity-fabric' | 'ethernet'; GBps: number } | null;
  architecture: string;
  /** When it was launched. */
  year: number;
  source: { title: string; url: string };
}

export const GiB = 2 ** 30;
