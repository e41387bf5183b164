/** The calls by which a machine joins. */
import {
  type DeviceAuthorization,
  deviceAuthorization,
  type EnrolmentAnswer,
  type EnrolmentProgress,
  enrolmentAnswer,
  type JoiningMachine,
} from '@iocloud/contracts';
import { JoinFault } from './options.js';

/** The control plane has answered, and with no. */
export class Refused extends JoinFault {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const timeoutMs = 15_000;
const tries = 5;

export class ControlPlane {
  constructor(
    readonly address: string,
    readonly pause: (ms: number) => Promise<void>,
  ) {}

  async ask(publicKey: string, machine: JoiningMachine): Promise<DeviceAuthorization> {
    return deviceAuthorization.parse(await this.#post('/v1/device-authorizations', { publicKey, machine }));
  }

  async answer(deviceCode: string): Promise<EnrolmentAnswer> {
    return enrolmentAnswer.parse(await this.#post('/v1/device-authorizations/answer', { deviceCode }));
  }

  async tell(deviceCode: string, progress: EnrolmentProgress): Promise<void> {
    await this.#post('/v1/device-authorizations/progress', { deviceCode, progress });
  }

  /** Throws JoinFault with what the control plane says, or where it cannot be reached. */
  async #post(path: string, body: unknown): Promise<unknown> {
    for (let count = 1; ; count += 1) {
      const response = await fetch(`${this.address}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(timeoutMs),
      }).catch((error: Error & { cause?: Error }) => error);
      if (response instanceof Response) {
        const text = await response.text();
        if (response.ok) return text === '' ? null : JSON.parse(text);
        if (response.status < 500 || count === tries) {
          throw new Refused(response.status, detailOf(text, response.status));
        }
      } else if (count === tries) {
        const cause = (response as { cause?: Error }).cause?.message ?? response.message;
        throw new JoinFault(`the control plane at ${this.address} cannot be reached: ${cause}`);
      }
      await this.pause(500 * 2 ** count);
    }
  }
}

function detailOf(text: string, status: number): string {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    if (typeof detail === 'string') return detail;
  } catch {
    // No problem document: a proxy in between, say. The status says what there is to say.
  }
  return `the control plane answered ${status}`;
}
