/** Whether what the server stands on answers, in time. Pure but for the checks that come in. */
export interface Checks {
  database(): Promise<boolean>;
  redis(): Promise<boolean>;
}

const names = { database: 'PostgreSQL', redis: 'Redis' } as const;

/** One line for each; a check that throws or takes longer than the time counts as no answer. */
export async function readiness(checks: Checks, timeoutMs: number): Promise<{ ready: boolean; text: string }> {
  const results = await Promise.all(
    (Object.keys(names) as (keyof typeof names)[]).map(async key => {
      const answers = await inTime(checks[key](), timeoutMs);
      return { answers, line: `${names[key]}: ${answers ? 'ok' : 'does not answer'}` };
    }),
  );
  const ready = results.every(result => result.answers);
  return { ready, text: `${[ready ? 'ready' : 'not ready', ...results.map(result => result.line)].join('\n')}\n` };
}

async function inTime(answer: Promise<boolean>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>(resolve => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
