/** How long a pass may take a device, by the best that is known of its model. Pure. */
import type { Device, Inventory, ProofWork } from '@iocloud/contracts';
import { acceleratorOf, modelOf } from '../matching/index.js';
import type { TimeTest } from './rates.js';
import { type Recorded, recorded } from './recorded.js';
import { passSecondsOf, workOf, workOfProcessors } from './sizing.js';
import { multiplicationsOf } from './work.js';

/** What is to be proven: the machine's processors and memory, or one of its accelerators. */
export interface Subject {
  /** Null: the processors. */
  index: number | null;
  uuid: string;
  model: string;
  vendor: string;
  memoryBytes: number;
  /** Of the machine. */
  cpus: number;
}

export interface Expectation {
  work: ProofWork;
  /** What times are judged by. `nothing`: only that the work is done and right, within the limit for anything. */
  basis: 'recorded' | 'data-sheet' | 'own-record' | 'nothing';
  /** Of one that is what it says, milliseconds; null where nothing is known. */
  typicalMs: number | null;
  /** A pass that takes longer is late. */
  slowestMs: number;
  test: TimeTest;
}

/** A figure of a data sheet, and an efficiency that has not been measured, say no more than this. */
const dataSheetSlowest = 1.3;
/** A device's own earlier passes vary by what runs beside it. */
const ownSlowest = 1.5;
/** From so many passes on a device's own record says how fast it is. */
export const ownRecordFrom = 12;
/** Whatever a device is, it is of no use to anybody if it is slower. */
const anySlowestMs = 10_000;

export function subjectsOf(inventory: Inventory): Subject[] {
  const { cpus, memoryBytes, devices, cpuModel } = inventory;
  if (devices.length === 0) {
    return [{ index: null, uuid: 'processors', model: cpuModel, vendor: 'cpu', memoryBytes, cpus }];
  }
  return devices.map((device: Device) => ({ ...device, cpus }));
}

const needed = (passes: number): number => Math.ceil(passes * 0.6);
const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** `ownMs`: passes of this device in challenges that it passed, the latest; for the same work. */
export function expectationOf(
  subject: Subject,
  ownMs: readonly number[],
  known: readonly Recorded[] = recorded,
): Expectation {
  const { work, typicalMs, basis, slowest } =
    subject.index === null ? processors(subject, known) : accelerator(subject);
  const test = { passes: work.passes, needed: needed(work.passes), tries: 2 };
  if (typicalMs !== null) return { work, basis, typicalMs, slowestMs: typicalMs * slowest, test };
  if (ownMs.length < ownRecordFrom) return { work, basis: 'nothing', typicalMs: null, slowestMs: anySlowestMs, test };
  const own = middle(ownMs);
  return { work, basis: 'own-record', typicalMs: own, slowestMs: Math.min(anySlowestMs, own * ownSlowest), test };
}

type Known = Pick<Expectation, 'work' | 'typicalMs' | 'basis'> & { slowest: number };

function processors({ model, cpus, memoryBytes }: Subject, known: readonly Recorded[]): Known {
  const work = workOfProcessors(cpus, memoryBytes);
  const like = known.find(one => one.model === model);
  if (!like) return { work, typicalMs: null, basis: 'nothing', slowest: 1 };
  const perCpu = (size: ProofWork, count: number) => multiplicationsOf(size) / count;
  const scale = perCpu(work, cpus) / perCpu(like.work, like.cpus);
  return { work, typicalMs: middle(like.quietMs) * scale, basis: 'recorded', slowest: like.slowest };
}

function accelerator(subject: Subject): Known {
  const device = {
    ...subject,
    index: subject.index ?? 0,
    vendor: subject.vendor as Device['vendor'],
    simulated: false,
  };
  const model = acceleratorOf(modelOf(device));
  const work = model ? workOf(model) : null;
  if (!model || !work) {
    const blocks = Math.max(1, Math.floor((subject.memoryBytes * 0.85) / 2 ** 21));
    const plain: ProofWork = { rowLength: 1024, blocks: Math.min(blocks, 4_096), passes: 6, products: 4 };
    return { work: plain, typicalMs: null, basis: 'nothing', slowest: 1 };
  }
  const seconds = passSecondsOf(model, work);
  return {
    work,
    typicalMs: seconds === null ? null : seconds * 1_000,
    basis: 'data-sheet',
    slowest: dataSheetSlowest,
  };
}
