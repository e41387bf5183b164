/** A machine's accelerators: how many of what, and what the table of accelerators says of each model. Pure. */
import type { AcceleratorModel, Device, Node } from '@iocloud/contracts';
import { bytes, table } from '../output.js';

const unknownModel = 'not in the table';

/** `2 × NVIDIA H100 80GB HBM3 = h100-sxm`, with [simulated] where it is so. */
export function devicesInWords(node: Node): string {
  const counts = new Map<string, number>();
  for (const [device, model] of devicesOf(node)) {
    const name = `${device.model}${device.simulated ? ' [simulated]' : ''} = ${model?.slug ?? unknownModel}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${count} × ${name}`).join(', ');
}

/** One table of the devices, and one of the models that they were recognised as. */
export function deviceTables(node: Node): string[] {
  const devices = devicesOf(node);
  if (devices.length === 0) return [];
  const models = new Map(devices.flatMap(([, model]) => (model ? [[model.slug, model] as const] : [])));
  const found = table(
    ['device', 'model', 'recognised as', 'memory', 'leased', 'real'],
    devices.map(([device, model]) => [
      String(device.index),
      device.model,
      model?.slug ?? unknownModel,
      bytes(device.memoryBytes),
      node.devicesLeased.includes(device.index) ? 'yes' : 'no',
      device.simulated ? 'no, SIMULATED' : 'yes',
    ]),
  );
  const known = table(
    ['recognised as', 'maker', 'name', 'memory', 'fp16/bf16', 'interconnect', 'generation'],
    [...models.values()].map(model => [
      model.slug,
      model.vendor,
      model.name,
      model.memoryBytes === null ? 'several' : bytes(model.memoryBytes),
      model.fp16Tflops === null ? 'not stated' : `${model.fp16Tflops} TFLOPS`,
      linkInWords(model),
      `${model.generation}, ${model.year}`,
    ]),
  );
  return models.size > 0 ? [found, known] : [found];
}

const linkInWords = ({ interconnect }: AcceleratorModel): string =>
  interconnect ? `${interconnect.kind}, ${interconnect.gigabytesPerSecond} GB/s` : 'not stated';

function devicesOf({ inventory, accelerators }: Node): [Device, AcceleratorModel | null][] {
  const models = new Map(accelerators.map(({ index, model }) => [index, model]));
  return (inventory?.devices ?? []).map(device => [device, models.get(device.index) ?? null]);
}
