/**
 * The labels that Ray has words of its own for: set on each Ray node by the machine that it is placed on, and read as
 * requirements where a job's label selector asks for them.
 */
import { type Device, type NodeTerms, type Requirements, region as regionName } from '@iocloud/contracts';
import { parseLabelCondition } from '../queueing/label-selector.js';
import { acceleratorOf, resolve } from './accelerator-lookup.js';
import { type Accelerator, accelerators } from './accelerators.js';
import { modelOf, modelsOf } from './demand.js';

/** RAY_NODE_ACCELERATOR_TYPE_KEY of ray._raylet. */
const acceleratorType = 'ray.io/accelerator-type';
/** RAY_NODE_REGION_KEY of ray._raylet, and what it is called for short. */
const regionKeys = ['ray.io/availability-region', 'ray.io/region'];

/** What Ray takes as a label's value. */
const isValue = (text: string) => /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(text);

/**
 * Labels of a Ray node that holds these devices of the machine. As Ray does it, the first device speaks for all of them,
 * and a Ray node without any has no type.
 */
export function rayLabelsOf(
  { devices, terms }: { devices: Device[]; terms: NodeTerms },
  deviceIndices: number[],
): Record<string, string> {
  const [first] = devices.filter(({ index }) => deviceIndices.includes(index)).sort((a, b) => a.index - b.index);
  const type = first ? rayTypeOf(first) : null;
  return {
    ...(type !== null && isValue(type) ? { [acceleratorType]: type } : {}),
    ...(terms.region === null ? {} : Object.fromEntries(regionKeys.map(key => [key, terms.region as string]))),
  };
}

function rayTypeOf(device: Device): string | null {
  const model = acceleratorOf(modelOf(device));
  if (model && model.rayType !== null) return model.rayType;
  return device.vendor === 'nvidia' ? rayTypeOfName(device.model) : null;
}

/** How Ray makes a type of the name that NVIDIA's driver gives (ray/_private/accelerators/nvidia_gpu.py). */
function rayTypeOfName(name: string): string | null {
  const [, type] = /^\w+\s+((?:[A-Z]+\s+)*[A-Z0-9]*\d[A-Z0-9]*)/.exec(name) ?? [];
  if (type !== undefined && type.length > 1) return type.replaceAll(' ', '-');
  const cleaned = name.replace(/^NVIDIA\s+/, '').trim();
  return cleaned === '' ? null : cleaned.replaceAll(' ', '-');
}

/** A model that is sold under several names has several. */
function rayTypesOf({ rayType, vendor, aliases }: Accelerator): string[] {
  if (rayType !== null) return [rayType];
  return vendor === 'nvidia' ? [...new Set(aliases.flatMap(name => rayTypeOfName(name) ?? []))] : [];
}

/**
 * What a selector's conditions on Ray's own labels (`key: value` and `in(a, b)`) demand of the machines. A type that no
 * model of the table has stands for a device of that name.
 */
export function requirementsOfLabels(selector: Record<string, string>): Pick<Requirements, 'accelerators' | 'regions'> {
  const types = asked(selector, [acceleratorType]);
  const regions = asked(selector, regionKeys);
  return {
    ...(types === null ? {} : { accelerators: [...new Set(types.flatMap(modelsOfType))] }),
    ...(regions === null ? {} : { regions }),
  };
}

function modelsOfType(type: string): string[] {
  const slugs = accelerators.filter(model => rayTypesOf(model).includes(type)).map(({ slug }) => slug);
  // A machine calls a model that is not in the table by its driver's name.
  return slugs.length > 0 ? slugs : [type, `NVIDIA ${type.replaceAll('-', ' ')}`];
}

/** What all conditions on one of the keys allow; null where there is none. */
function asked(selector: Record<string, string>, keys: string[]): string[] | null {
  const lists = keys.flatMap(key => {
    const text = selector[key];
    const condition = text === undefined ? null : parseLabelCondition(key, text);
    const isMet = condition === null || condition.negated || condition.values.includes('');
    return isMet ? [] : [condition.values];
  });
  const [first, ...rest] = lists;
  return first === undefined ? null : [...new Set(first)].filter(value => rest.every(list => list.includes(value)));
}

/** The requirements and what the selector adds to them; or the label that nothing can meet beside them, and why. */
export function withLabels(
  requirements: Requirements,
  selector: Record<string, string>,
): Requirements | { key: string; message: string } {
  const added = requirementsOfLabels(selector);
  const mistake = mistakeIn(selector);
  if (mistake) return mistake;
  const accelerators = both(modelsOf(requirements.accelerators), added.accelerators);
  if (accelerators?.length === 0) {
    return {
      key: acceleratorType,
      message: `is none of ${requirements.accelerators?.join(', ')}, which is required too`,
    };
  }
  const regions = both(requirements.regions ?? null, added.regions);
  if (regions?.length === 0) {
    const key = regionKeys.find(name => name in selector) ?? '';
    return {
      key,
      message: `is none of ${requirements.regions?.join(', ') ?? 'what the other label asks for'}, which is required too`,
    };
  }
  return {
    ...requirements,
    ...(added.accelerators && accelerators ? { accelerators } : {}),
    ...(added.regions && regions ? { regions } : {}),
  };
}

const both = (one: string[] | null, other: string[] | undefined): string[] | null =>
  one && other ? one.filter(item => other.includes(item)) : (other ?? one);

/** A type that means a model, but is not what Ray calls it, would wait for ever. */
function mistakeIn(selector: Record<string, string>): { key: string; message: string } | null {
  for (const type of asked(selector, [acceleratorType]) ?? []) {
    const meant = accelerators.filter(({ slug }) => resolve(type).slugs.includes(slug)).map(rayTypesOf);
    if (meant.length === 0 || accelerators.some(model => rayTypesOf(model).includes(type))) continue;
    const names = [...new Set(meant.flat())].join(', ');
    return { key: acceleratorType, message: `Ray calls no accelerator ${type}; did you mean ${names}?` };
  }
  const wrong = asked(selector, regionKeys)?.find(name => !regionName.safeParse(name).success);
  if (wrong === undefined) return null;
  const key = regionKeys.find(name => selector[name]?.includes(wrong)) ?? '';
  return { key, message: `${wrong} is no region: lower-case letters, digits and hyphens` };
}
