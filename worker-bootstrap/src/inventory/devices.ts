/** What the vendors' tools print, as devices. Pure: an output that cannot be read throws and is never skipped. */
import type { Device } from '@iocloud/contracts';

const mebibyte = 2 ** 20;

export const nvidiaQuery = ['--query-gpu=index,uuid,name,memory.total', '--format=csv,noheader,nounits'];

/** `nvidia-smi` with `nvidiaQuery`: one line a device, such as `0, GPU-8a…, NVIDIA H100 80GB HBM3, 81559`. */
export function parseNvidia(output: string): Device[] {
  return output
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && line !== 'No devices were found')
    .map(line => {
      const [index, uuid, ...rest] = line.split(',').map(field => field.trim());
      const memory = rest.pop();
      const model = rest.join(', ');
      if (!index || !/^\d+$/.test(index) || !uuid || !model || !memory || !/^\d+$/.test(memory)) {
        throw new Error(`nvidia-smi printed a line that is no device: ${JSON.stringify(line.slice(0, 200))}`);
      }
      return device(Number(index), uuid, 'nvidia', model, Number(memory) * mebibyte);
    });
}

export const rocmArguments = ['--showproductname', '--showuniqueid', '--showmeminfo', 'vram', '--json'];

/** `rocm-smi` with `rocmArguments`: an object with one key a card, `card0`, `card1`, … */
export function parseRocm(output: string): Device[] {
  const cards = jsonObject('rocm-smi', output);
  return Object.entries(cards)
    .filter(([name]) => /^card\d+$/.test(name))
    .map(([name, value]) => {
      const card = value as Record<string, string>;
      const model = card['Card Series'] ?? card['Card series'] ?? card['Card Model'] ?? card['Card model'];
      const memory = card['VRAM Total Memory (B)'];
      if (!model || !memory || !/^\d+$/.test(memory)) {
        throw new Error(`rocm-smi says neither model nor memory of ${name}`);
      }
      const index = Number(name.slice('card'.length));
      return device(index, card['Unique ID'] ?? name, 'amd', model, Number(memory));
    })
    .sort((a, b) => a.index - b.index);
}

export const amdArguments = ['static', '--asic', '--vram', '--json'];

/** `amd-smi` with `amdArguments`: a list of devices, or since ROCm 7 an object with the list under `gpu_data`. */
export function parseAmd(output: string): Device[] {
  const start = output.search(/[[{]/); // warnings may come first
  const value: unknown = start === -1 ? null : tryJson(output.slice(start));
  const list = Array.isArray(value) ? value : (value as { gpu_data?: unknown } | null)?.gpu_data;
  if (!Array.isArray(list)) throw new Error('amd-smi printed no list of devices');
  return list.map((entry: unknown) => {
    const { gpu, asic, vram } = entry as {
      gpu?: number;
      asic?: { market_name?: string; asic_serial?: string };
      vram?: { size?: { value?: number; unit?: string } };
    };
    const size = vram?.size;
    if (typeof gpu !== 'number' || !asic?.market_name || typeof size?.value !== 'number' || size.unit !== 'MB') {
      throw new Error(`amd-smi says neither model nor memory of device ${String(gpu)}`);
    }
    return device(gpu, asic.asic_serial ?? `amd-${gpu}`, 'amd', asic.market_name, size.value * mebibyte);
  });
}

function device(index: number, uuid: string, vendor: Device['vendor'], model: string, memoryBytes: number): Device {
  return { index, uuid: uuid.slice(0, 128), vendor, model: model.slice(0, 128), memoryBytes, simulated: false };
}

/** Devices that configuration declares; their indices follow those of real ones. */
export function simulated(
  declared: readonly { vendor: Device['vendor']; model: string; memoryBytes: number; count: number }[],
  firstIndex: number,
): Device[] {
  return declared
    .flatMap(({ count, ...kind }) => Array.from({ length: count }, () => kind))
    .map((kind, position) => ({
      ...kind,
      index: firstIndex + position,
      uuid: `simulated-${firstIndex + position}`,
      simulated: true,
    }));
}

function jsonObject(tool: string, output: string): Record<string, unknown> {
  const start = output.indexOf('{');
  const value = start === -1 ? null : tryJson(output.slice(start));
  if (value === null || typeof value !== 'object') throw new Error(`${tool} printed no JSON object`);
  return value as Record<string, unknown>;
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
