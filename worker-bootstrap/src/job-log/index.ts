/** Logs of jobs' drivers, read from the Ray nodes' folders. */
export { awaitJobLog, followLog, isSafeSubmissionId, openJobLog, readLog } from './job-log.js';
