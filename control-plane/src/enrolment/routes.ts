import { api, type Enrolment, userCode as userCodeSchema } from '@iocloud/contracts';
import type { Request } from 'express';
import { callerOfKey, callerOfKeyId } from '../accounts/index.js';
import { addressOf, readForm, refuseForeignForm, sendPage } from '../pages/index.js';
import {
  type Caller,
  type Config,
  type Database,
  Failure,
  type Http,
  neededPermission,
  type Signer,
} from '../platform/index.js';
import { askPage, decidePage, watchPage } from './activate-page.js';
import * as authorizations from './authorizations.js';
import { installScript, releaseIn } from './release.js';

interface Wiring {
  config: Pick<Config, 'publicUrl' | 'publicSsh' | 'agentReleaseDir'>;
  database: Database;
  signer: Signer;
  random: authorizations.RandomBytes;
  /** Of the SSH server that agents dial. */
  ssh(): { port: number; hostKey: string };
  /** That signs the releases of the agent; null where they are not signed. */
  releaseKey(): Promise<string | null>;
}

const decidingMs = 900_000;
const watchingMs = 86_400_000;

export function enrolmentRoutes(http: Http, { config, database, signer, random, ssh, releaseKey }: Wiring): void {
  http.handle(api.requestEnrolment, async ({ body, request }) => {
    const from = request.socket.remoteAddress ?? '';
    const { deviceCode, userCode } = await authorizations.ask(database, random, body, from);
    const verificationUri = `${addressOf(request, config.publicUrl)}/activate`;
    return {
      deviceCode,
      userCode,
      verificationUri,
      verificationUriComplete: `${verificationUri}?code=${userCode}`,
      expiresInSeconds: authorizations.expiresInSeconds,
      intervalSeconds: authorizations.intervalSeconds,
    };
  });

  http.handle(api.enrolmentAnswer, async ({ body }) => {
    const standing = await authorizations.standingOf(database, body.deviceCode);
    if (standing.status !== 'approved') return standing;
    const { port, hostKey } = ssh();
    const host = config.publicSsh?.host ?? null;
    const sshServer = { host, port: config.publicSsh?.port ?? port, hostKey };
    return { ...standing, ssh: sshServer, releaseKey: await releaseKey() };
  });

  http.handle(api.enrolmentProgress, async ({ body, response }) => {
    await authorizations.tell(database, body.deviceCode, body.progress);
    response.status(204).end();
    return undefined;
  });

  http.handle(api.getEnrolment, async ({ caller, params }) =>
    authorizations.show(database, caller.tenantId, params.userCode),
  );
  http.handle(api.approveEnrolment, async ({ caller, params, body }) =>
    authorizations.approve(database, random, caller, params.userCode, body),
  );
  http.handle(api.denyEnrolment, async ({ caller, params }) => authorizations.deny(database, caller, params.userCode));

  http.handle(api.installScript, async ({ request, response }) => {
    const script = installScript(addressOf(request, config.publicUrl), await releaseIn(config.agentReleaseDir));
    response
      .type('text/x-shellscript')
      .set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
      .send(script);
    return undefined;
  });

  http.handle(api.agentRelease, async ({ params, response }) => {
    const { file } = await releaseIn(config.agentReleaseDir);
    // Nothing but what the manifest names: no other path leads anywhere.
    if (![file, 'manifest.json', 'manifest.json.sig'].includes(params.file))
      throw new Failure('not-found', `the agent of this control plane is ${file}`);
    await new Promise<void>((resolve, reject) => {
      const type = params.file === file ? 'application/gzip' : 'text/plain';
      response.type(type).sendFile(params.file, { root: config.agentReleaseDir }, error => {
        if (!error || response.headersSent) resolve();
        else
          reject(
            new Failure('not-found', `the agent of this control plane has no ${params.file}: its operator signs it`),
          );
      });
    });
    return undefined;
  });

  const watch = (caller: Pick<Caller, 'tenantId'>, { userCode }: Enrolment) =>
    `/activate?watch=${encodeURIComponent(signer.sign('watch', { tenantId: caller.tenantId, userCode }, watchingMs))}`;

  http.handle(api.activatePage, async ({ request, response }) => {
    const token = textOf(request, 'watch');
    const watched = token === '' ? null : signer.verify('watch', token);
    if (token === '') sendPage(response, 200, askPage(textOf(request, 'code').slice(0, 12), null));
    else if (!watched)
      sendPage(response, 401, askPage('', 'That page was too old; `iocloud node list` shows your machines.'));
    else
      sendPage(
        response,
        200,
        watchPage(await authorizations.show(database, watched.tenantId as never, String(watched.userCode))),
      );
    return undefined;
  });

  http.handle(api.activate, async ({ request, response }) => {
    refuseForeignForm(request, config.publicUrl);
    const form = await readForm(request);
    const token = form.get('token');
    const typed = form.get('code') ?? '';
    try {
      if (token === null) {
        const caller = mayEnrol(await callerOfKey(database, (form.get('key') ?? '').trim()));
        const code = userCodeSchema.safeParse(typed);
        if (!code.success) throw new Failure('bad-request', 'the code has eight letters, such as WDJB-MJHT');
        const enrolment = await authorizations.show(database, caller.tenantId, code.data);
        const signed = signer.sign('enrol', { keyId: caller.keyId, userCode: enrolment.userCode }, decidingMs);
        if (enrolment.status === 'pending') sendPage(response, 200, decidePage(enrolment, signed, null));
        else if (enrolment.status === 'expired')
          throw new Failure('conflict', 'the code is too old: start again on the machine');
        else response.redirect(303, watch(caller, enrolment));
        return undefined;
      }
      const { keyId, userCode } = signer.verify('enrol', token) ?? {};
      if (typeof keyId !== 'string' || typeof userCode !== 'string') {
        throw new Failure('unauthenticated', 'that page was open for too long: type code and key again');
      }
      const caller = mayEnrol(await callerOfKeyId(database, keyId));
      const wish = { name: form.get('name')?.trim() || undefined, shared: form.get('shared') === '1' };
      const decided = await decide(form.get('decision'), caller, userCode, wish).catch(async (error: unknown) => {
        // Its name is taken, say: the owner chooses another on the same page.
        if (!(error instanceof Failure) || error.code !== 'already-exists') throw error;
        const enrolment = await authorizations.show(database, caller.tenantId, userCode);
        sendPage(response, error.status, decidePage(enrolment, token, sentence(error.detail)));
        return null;
      });
      if (decided) response.redirect(303, watch(caller, decided));
    } catch (error) {
      if (!(error instanceof Failure) || error.code === 'internal') throw error;
      sendPage(response, error.status, askPage(typed.slice(0, 12), sentence(error.detail)));
    }
    return undefined;
  });

  async function decide(
    decision: string | null,
    caller: Caller,
    userCode: string,
    wish: { name?: string | undefined; shared: boolean },
  ): Promise<Enrolment> {
    if (decision === 'deny') return authorizations.deny(database, caller, userCode);
    if (decision !== 'approve') throw new Failure('bad-request', 'the form says neither approve nor deny');
    if ((wish.name ?? '').length > 63) throw new Failure('bad-request', 'a name has at most 63 characters');
    return authorizations.approve(database, random, caller, userCode, wish);
  }
}

/** A page's form, too, does only what the route of the API demands. */
function mayEnrol(caller: Caller): Caller {
  const needed = neededPermission(api.approveEnrolment, 'POST');
  if (needed !== 'authenticated' && !caller.permissions.has(needed)) {
    throw new Failure('permission-denied', `this key lacks the permission ${needed}`);
  }
  return caller;
}

function textOf(request: Request, name: string): string {
  const value = request.query[name];
  return typeof value === 'string' ? value : '';
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
