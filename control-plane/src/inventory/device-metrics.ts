/** Machines and devices in Prometheus' exposition format, one sample each: the newest. Pure. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { LatestTelemetry } from './telemetry.js';

const ofNode = ['node', 'node_name', 'region'] as const;
const ofDevice = [...ofNode, 'device', 'uuid', 'model'] as const;

/** Series: about 8 for each machine and 7 for each device that tells all, more only where something is wrong with it. */
export async function deviceMetrics(
  machines: readonly LatestTelemetry[],
): Promise<{ type: string; text: string; registry: Registry }> {
  const registry = new Registry();
  const registers = [registry];
  const gauge = <Name extends string>(name: string, help: string, labelNames: readonly Name[]) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers });
  const counter = <Name extends string>(name: string, help: string, labelNames: readonly Name[]) =>
    new Counter({ name, help, labelNames: [...labelNames], registers });

  const node = {
    up: gauge('iocloud_node_up', 'Whether the agent of the machine is connected', ofNode),
    sampled: gauge('iocloud_node_telemetry_timestamp_seconds', 'When the sample was taken that is shown', ofNode),
    cpu: gauge('iocloud_node_cpu_usage_ratio', 'Share of all processors that was busy', ofNode),
    load: gauge('iocloud_node_load1', 'Load average of a minute', ofNode),
    memory: gauge('iocloud_node_memory_available_bytes', 'Memory that can be had without swapping', ofNode),
    diskFree: gauge('iocloud_node_disk_free_bytes', 'Free on the file system of the agent', ofNode),
    disk: gauge('iocloud_node_disk_size_bytes', 'Size of the file system of the agent', ofNode),
    received: counter('iocloud_node_network_receive_bytes_total', 'Received by its network devices', ofNode),
    sent: counter('iocloud_node_network_transmit_bytes_total', 'Sent by its network devices', ofNode),
    agentCpu: counter('iocloud_agent_cpu_seconds_total', 'Processor time of the agent itself', ofNode),
    agentMemory: gauge('iocloud_agent_resident_memory_bytes', 'Resident memory of the agent itself', ofNode),
  };
  const device = {
    utilization: gauge('iocloud_device_utilization_ratio', 'Share of the time in which it computed', ofDevice),
    memory: gauge('iocloud_device_memory_used_bytes', 'Memory of the device in use', ofDevice),
    temperature: gauge('iocloud_device_temperature_celsius', 'Temperature of the device', ofDevice),
    power: gauge('iocloud_device_power_watts', 'Power that the device draws', ofDevice),
    powerLimit: gauge('iocloud_device_power_limit_watts', 'Power that the device may draw', ofDevice),
    throttled: gauge('iocloud_device_throttled', 'Slowed down for this reason', [...ofDevice, 'reason']),
    ecc: counter('iocloud_device_ecc_errors_total', 'Memory errors since the driver was loaded', [...ofDevice, 'kind']),
    xid: counter('iocloud_device_xid_errors_total', 'Faults in the kernel log since boot, by Xid', [
      ...ofDevice,
      'xid',
    ]),
  };

  for (const { nodeId, name, region, online, devices, sample } of machines) {
    const labels = { node: nodeId, node_name: name, region: region ?? '' };
    node.up.set(labels, online ? 1 : 0);
    if (!sample) continue;
    const { machine } = sample;
    node.sampled.set(labels, Date.parse(sample.at) / 1_000);
    set(node.cpu, labels, machine.cpuUsage);
    node.load.set(labels, machine.load1);
    node.memory.set(labels, machine.memoryAvailableBytes);
    node.diskFree.set(labels, machine.diskFreeBytes);
    node.disk.set(labels, machine.diskTotalBytes);
    add(node.received, labels, machine.receivedBytes);
    add(node.sent, labels, machine.sentBytes);
    node.agentCpu.inc(labels, machine.agentCpuSeconds);
    node.agentMemory.set(labels, machine.agentMemoryBytes);
    const known = new Map(devices.map(one => [one.index, one]));
    for (const one of sample.devices) {
      const listed = known.get(one.index);
      // Not in the inventory: it came after the agent had started, and nobody can lease it.
      if (!listed) continue;
      const which = { ...labels, device: String(one.index), uuid: listed.uuid, model: listed.model };
      set(device.utilization, which, one.utilization);
      set(device.memory, which, one.memoryUsedBytes);
      set(device.temperature, which, one.temperatureCelsius);
      set(device.power, which, one.powerWatts);
      set(device.powerLimit, which, one.powerLimitWatts);
      for (const reason of one.throttled ?? []) device.throttled.set({ ...which, reason }, 1);
      add(device.ecc, { ...which, kind: 'corrected' }, one.eccCorrected);
      add(device.ecc, { ...which, kind: 'uncorrected' }, one.eccUncorrected);
      for (const [xid, count] of Object.entries(one.xids ?? {})) device.xid.inc({ ...which, xid }, count);
    }
  }
  return { type: registry.contentType, text: await registry.metrics(), registry };
}

function set<Name extends string>(to: Gauge<Name>, labels: Record<Name, string>, value: number | null): void {
  if (value !== null) to.set(labels, value);
}

function add<Name extends string>(to: Counter<Name>, labels: Record<Name, string>, value: number | null): void {
  if (value !== null) to.inc(labels, value);
}
