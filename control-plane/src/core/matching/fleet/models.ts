/** The device models that the fleet has, with what the catalogue says of them. */
import { acceleratorOf } from '../accelerator-lookup.js';
import { speedPart } from '../score.js';
import { noModel } from './pools.js';
import type { AcceleratorWant } from './types.js';

export interface Model {
  slug: string;
  /** '' for a model that is not in the catalogue. */
  vendor: string;
  /** 0 when it is not known. */
  memoryBytes: number;
  speed: number;
}

export class Models {
  readonly list: Model[] = [{ slug: '', vendor: '', memoryBytes: 0, speed: 1 }];
  readonly #ids = new Map<string, number>();

  /** Devices of one slug that report different memory are different models. */
  id(slug: string, memoryBytes: number | undefined): number {
    const known = acceleratorOf(slug);
    const bytes = memoryBytes ?? known?.memoryBytes ?? 0;
    const key = `${slug}\n${bytes}`;
    const id = this.#ids.get(key) ?? this.list.length;
    if (id === this.list.length) {
      this.list.push({
        slug,
        vendor: known?.vendor ?? '',
        memoryBytes: bytes,
        speed: speedPart(known?.fp16Tflops ?? null),
      });
      this.#ids.set(key, id);
    }
    return id;
  }

  slug(id: number): string | null {
    return id === noModel ? null : (this.list[id]?.slug ?? null);
  }

  /** The ids that will do. */
  matching(want: AcceleratorWant | null, devices: number): number[] {
    if (devices === 0) return [noModel];
    const ids: number[] = [];
    for (let id = 1; id < this.list.length; id++) if (modelMatches(this.list[id] as Model, want)) ids.push(id);
    return ids;
  }
}

export const modelMatches = (model: Model, want: AcceleratorWant | null): boolean =>
  want === null ||
  ((want.models === undefined || want.models.includes(model.slug)) &&
    (want.vendors === undefined || want.vendors.includes(model.vendor)) &&
    (want.minMemoryBytes === undefined || model.memoryBytes >= want.minMemoryBytes));
