/**
 * What a machine and its accelerators are doing, as the agent reads it off the kernel and the vendors' tools. Null: this
 * hardware, its driver or this operating system does not tell.
 */
import { z } from 'zod';
import { leaseId } from './ids.js';

/** How often an agent takes a sample. Milliseconds. */
export const telemetryIntervalMs = 30_000;
/** Samples in one message. */
export const maxTelemetrySamples = 60;

/** Why an accelerator runs slower than it could; `idle` and what its owner has set are no throttling. */
export const throttleReason = z.enum(['power', 'thermal', 'hardware', 'other']).meta({ id: 'ThrottleReason' });
export type ThrottleReason = z.infer<typeof throttleReason>;

const amount = z.number().min(0);
const count = z.int().min(0);

export const deviceTelemetry = z
  .object({
    index: z.int().min(0).max(1_023).describe('of the device in the inventory'),
    utilization: z.number().min(0).max(1).nullable().describe('share of the time in which it computed anything'),
    memoryUsedBytes: count.nullable(),
    temperatureCelsius: z.number().min(-100).max(1_000).nullable(),
    powerWatts: amount.nullable(),
    powerLimitWatts: amount.nullable(),
    throttled: z
      .array(throttleReason)
      .max(4)
      .nullable()
      .describe('why it is slowed down at the moment; empty: it is not'),
    eccCorrected: count.nullable().describe('memory errors corrected since its driver was loaded'),
    eccUncorrected: count.nullable().describe('memory errors not corrected since its driver was loaded'),
    xids: z
      .record(z.string().regex(/^\d{1,4}$/), count)
      .nullable()
      .describe("faults in the kernel's log since the machine booted, by NVIDIA's Xid number"),
  })
  .meta({ id: 'DeviceTelemetry' });
export type DeviceTelemetry = z.infer<typeof deviceTelemetry>;

export const machineTelemetry = z
  .object({
    cpuUsage: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .describe('share of all processors that was busy since the last sample'),
    load1: amount.describe('load average of a minute'),
    memoryAvailableBytes: count.describe('that can be had without swapping'),
    diskFreeBytes: count.describe("of the file system with the agent's state"),
    diskTotalBytes: count,
    receivedBytes: count.nullable().describe('by its network devices since it booted'),
    sentBytes: count.nullable().describe('by its network devices since it booted'),
    agentCpuSeconds: amount.describe('processor time of the agent itself since it started'),
    agentMemoryBytes: count.describe('resident memory of the agent itself'),
  })
  .meta({ id: 'MachineTelemetry' });
export type MachineTelemetry = z.infer<typeof machineTelemetry>;

/** Counters of a lease's processes and network, each from 0 in each run of the agent. */
export const leaseUsage = z.object({
  leaseId,
  cpuMs: count.describe('processor time'),
  mibSeconds: count.describe('resident memory × time, in MiB × seconds'),
  egressBytes: count.describe('sent out of its network; 0 where it has none of its own'),
});
export type LeaseUsage = z.infer<typeof leaseUsage>;

export const telemetrySample = z.object({
  /** Counts up from 1 in each run of an agent. */
  sequence: z.int().min(1),
  machine: machineTelemetry,
  devices: z.array(deviceTelemetry).max(64),
  /** Of leases that run. An agent of before does not count them. */
  leases: z.array(leaseUsage).max(1_024).default([]),
});
export type TelemetrySample = z.infer<typeof telemetrySample>;

/** As the API shows it. */
export const nodeTelemetry = z
  .object({
    at: z.iso.datetime().describe("by the control plane's clock"),
    machine: machineTelemetry,
    devices: z.array(deviceTelemetry),
  })
  .meta({ id: 'NodeTelemetry' });
export type NodeTelemetry = z.infer<typeof nodeTelemetry>;
