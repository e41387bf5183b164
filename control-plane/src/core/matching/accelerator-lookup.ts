/** From what a machine reports, or a user writes, to models of the catalogue. */
import { type Accelerator, accelerators } from './accelerators.js';

const bySlug = new Map(accelerators.map(model => [model.slug, model]));

export const acceleratorOf = (slug: string): Accelerator | undefined => bySlug.get(slug);

/** Of what a device reports as its memory, firmware keeps some, and makers round. */
const memoryTolerance = 0.12;

/** 'NVIDIA H100 80GB HBM3' and 'h100-80gb  hbm3' are the same words. */
const wordsOf = (text: string): string[] =>
  text
    .toLowerCase()
    .replaceAll('(r)', '')
    .split(/[^a-z0-9]+/)
    .filter(word => word !== '');
/** Said or left out, the maker's name changes nothing. */
const plain = (text: string): string =>
  wordsOf(text)
    .filter(word => !['nvidia', 'amd', 'intel', 'apple', 'tesla', 'geforce', 'instinct', 'gpu'].includes(word))
    .join(' ');

const spellings = new Map<string, Accelerator[]>();
for (const model of accelerators) {
  for (const spelling of new Set([model.slug, model.name, ...model.aliases].map(plain))) {
    spellings.set(spelling, [...(spellings.get(spelling) ?? []), model]);
  }
}

const hasMemory = (model: Accelerator, memoryBytes: number): boolean =>
  model.memoryBytes === null || Math.abs(memoryBytes / model.memoryBytes - 1) <= memoryTolerance;

/**
 * The slug of the model that a device reports as its name (nvidia-smi, rocm-smi …), or null when it is none of the
 * catalogue. `memoryBytes` must be about what the model has, so that a device that reports a name that it has not earned
 * stays unclassified.
 */
export function classify(reportedName: string, memoryBytes: number): string | null {
  const models = (spellings.get(plain(reportedName)) ?? []).filter(model => hasMemory(model, memoryBytes));
  return models.length === 1 ? (models[0]?.slug ?? null) : null;
}

export interface Resolved {
  /** Every model that the text may mean; [] when it means none. */
  slugs: string[];
  /** Where it means none: the names that are nearest, the nearest first. */
  suggestions: string[];
}

/** What a user's text means: a slug, a name, Ray's name, or a family ('A100', 'RTX 4090', 'h100 sxm'). */
export function resolve(userText: string): Resolved {
  const text = plain(userText);
  const words = text.split(' ');
  const exact = spellings.get(text);
  if (exact) return { slugs: exact.map(model => model.slug), suggestions: [] };
  const byRay = accelerators.filter(model => model.rayType !== null && plain(model.rayType) === text);
  if (byRay.length > 0) return { slugs: byRay.map(model => model.slug), suggestions: [] };
  const family = text === '' ? [] : accelerators.filter(model => words.every(word => wordsOfModel(model).has(word)));
  if (family.length > 0) return { slugs: family.map(model => model.slug), suggestions: [] };
  return { slugs: [], suggestions: text === '' ? [] : nearest(text) };
}

function wordsOfModel(model: Accelerator): Set<string> {
  return new Set([model.slug, model.name, ...model.aliases].flatMap(text => plain(text).split(' ')));
}

const maxSuggestions = 3;

function nearest(text: string): string[] {
  const compact = text.replaceAll(' ', '');
  return accelerators
    .map(({ slug, name, rayType }) => {
      const known = [slug, name, ...(rayType === null ? [] : [rayType])].map(one => plain(one).replaceAll(' ', ''));
      return { slug, distance: Math.min(...known.map(one => editDistance(compact, one))) };
    })
    .filter(({ slug, distance }) => distance <= Math.max(2, Math.floor(slug.length / 3)))
    .sort((a, b) => a.distance - b.distance || (a.slug < b.slug ? -1 : 1))
    .slice(0, maxSuggestions)
    .map(({ slug }) => slug);
}

/** Levenshtein: insertions, deletions and replacements that make one of the other. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const replaced = (row[j] as number) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
