/** `iocloud job …`. Submitting is the Ray client's: `ray job submit` packs working directories as Ray wants them. */
import type { Command } from 'commander';
import { collect } from '../client.js';
import { CliError } from './exit.js';
import { explanationInWords } from './explain-render.js';
import { followJobLog } from './job-log.js';
import { jobDetails, jobTable } from './job-render.js';
import { collectPairs, parseAmount, parseCount, parseMemory } from './quantities.js';
import { argument, type CommonOptions, type Context, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

export function jobCommands(program: Command, terminal: Terminal): void {
  const group = program
    .command('job')
    .description('jobs (submit them with `ray job submit`); ID/INDEX names an index of an array job');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));

  leaf('list', 'jobs, newest first')
    .option('--phase <phase>', 'queued, assigned, running, stopping, succeeded, failed or stopped')
    .option('--array <job>', 'the indices of this array job, by index')
    .option('--limit <n>', 'at most so many', argument(parseCount), 100)
    .action((options: CommonOptions & { phase?: string; array?: string; limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const { phase, array, limit } = options;
        const query = { phase, array, limit: Math.min(Math.max(limit, 1), 1000) };
        const jobs = await collect(client.list('listJobs', query, options.limit));
        show(jobs, () => jobTable(jobs, terminal.now(), client.address));
      }),
    );

  leaf('show <job>', 'one job with its attempts').action((reference: string, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const submissionId = submissionIdOf(reference);
      const job = await client.call('getJob', { params: { submissionId } });
      show(job, () => jobDetails(job, terminal.now()));
    }),
  );

  leaf('logs <job>', 'the log of a job, also after its cluster is gone')
    .option('-f, --follow', 'go on until it has ended; exit code 9 when it did not succeed')
    .action((reference: string, options: CommonOptions & { follow?: boolean }) =>
      run(terminal, options, async context => {
        const submissionId = submissionIdOf(reference);
        if (options.follow) return follow(context, submissionId);
        const answer = await context.client.call('rayJobLogs', { params: { submissionId } });
        if (context.json) context.show(answer, () => '');
        else terminal.out(answer.logs);
      }),
    );

  leaf(
    'explain [job]',
    'why a job waits; or, without one, a dry run: where such a job could run, at what price, or why nowhere',
  )
    .option('--num-cpus <n>', 'CPUs of its entrypoint', argument(parseAmount))
    .option('--num-gpus <n>', 'GPUs of its entrypoint', argument(parseAmount))
    .option('--memory <amount>', 'memory of its entrypoint, such as 8GiB', argument(parseMemory))
    .option('--set <key=value>', 'metadata, such as io.country=DE (repeatable)', collectPairs)
    .action((reference: string | undefined, options: CommonOptions & DryRun) =>
      run(terminal, options, async ({ client, show }) => {
        const explanation =
          reference === undefined
            ? await client.call('explainSubmission', { body: submissionOf(options) })
            : await client.call('explainJob', { params: { submissionId: submissionIdOf(reference) } });
        show(explanation, () => explanationInWords(explanation, terminal.now()));
      }),
    );

  leaf('update <job>', 'change priority or requirements of a job that waits in the queue')
    .option('--set <key=value>', 'such as io.priority=high; may be given again', collectPairs)
    .option('--unset <key>', 'take a key back, such as io.country; may be given again', collectKeys)
    .action((reference: string, options: CommonOptions & { set?: Record<string, string>; unset?: Cleared }) =>
      run(terminal, options, async ({ client, show }) => {
        const submissionId = submissionIdOf(reference);
        const metadata = { ...options.unset, ...options.set };
        if (Object.keys(metadata).length === 0) throw new CliError('usage', 'nothing to change: give --set or --unset');
        const job = await client.call('changeJob', { params: { submissionId }, body: { metadata } });
        show(job, () => jobDetails(job, terminal.now()));
      }),
    );

  leaf('rate <job> <stars>', 'rate the machine that a job ended on, 1 to 5 stars: later placement goes by it')
    .option('--comment <text>', 'what went well or badly', '')
    .action((reference: string, stars: string, options: CommonOptions & { comment: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const submissionId = submissionIdOf(reference);
        const body = { stars: parseCount(stars), comment: options.comment };
        const job = await client.call('rateJob', { params: { submissionId }, body });
        show(job, () => `${submissionId} is rated ${stars} of 5`);
      }),
    );

  leaf('stop <job>', 'stop a job').action((reference: string, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const submissionId = submissionIdOf(reference);
      const answer = await client.call('rayStopJob', { params: { submissionId } });
      show(answer, () => (answer.stopped ? `${submissionId} is being stopped` : `${submissionId} had ended already`));
    }),
  );

  leaf('delete <job>', 'delete a job that has ended, with its log').action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const submissionId = submissionIdOf(reference);
        const answer = await client.call('rayDeleteJob', { params: { submissionId } });
        show(answer, () => `${submissionId} and its log are deleted`);
      }),
  );
}

/** An index of an array may be written `ID/INDEX`: no submission id has a slash. */
export const submissionIdOf = (reference: string): string => reference.replace(/\/(\d+)$/, '.$1');

interface DryRun {
  numCpus?: number;
  numGpus?: number;
  memory?: number;
  set?: Record<string, string>;
}

const submissionOf = ({ numCpus, numGpus, memory, set }: DryRun) => ({
  entrypoint: 'true',
  entrypoint_num_cpus: numCpus,
  entrypoint_num_gpus: numGpus,
  entrypoint_memory: memory,
  metadata: set,
});

type Cleared = Record<string, null>;

const collectKeys = (key: string, before: Cleared = {}): Cleared => ({ ...before, [key]: null });

async function follow({ client, terminal, json, progress }: Context, submissionId: string): Promise<void> {
  await followJobLog(client, submissionId, {
    signal: terminal.signal,
    pause: terminal.pause,
    write: bytes => terminal.write(json ? Buffer.from(`${JSON.stringify({ log: bytes.toString('utf8') })}\n`) : bytes),
  });
  const job = await client.call('getJob', { params: { submissionId } });
  if (json) terminal.out(`${JSON.stringify({ job })}\n`);
  if (job.phase === 'succeeded') progress(`${submissionId} succeeded`);
  else throw new CliError('jobUnsuccessful', `${submissionId} is ${job.phase}${job.message ? `: ${job.message}` : ''}`);
}
