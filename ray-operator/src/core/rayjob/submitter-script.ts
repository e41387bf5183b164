/**
 * What a submitter runs, in Ray's own Python: it waits for the head, submits unless the id is known there already, and
 * hands on the log until the job has ended. Killed at any point and started again it goes on where it was. The entrypoint
 * reaches Ray as it is written: no second shell reads it.
 */
export const submitterScript = `
import asyncio, json, os, sys, time
from ray.job_submission import JobSubmissionClient

job_id = os.environ["RAY_JOB_SUBMISSION_ID"]
address = "http://" + os.environ["RAY_DASHBOARD_ADDRESS"]

def patiently(what, call, tries=120):
    for left in range(tries, 0, -1):
        try:
            return call()
        except Exception as error:
            if left == 1:
                raise
            print(f"{what}: {str(error).splitlines()[-1]}; trying again", file=sys.stderr)
            time.sleep(min(5, 1 + (tries - left) // 4))

def known():
    return any(job.submission_id == job_id for job in client.list_jobs())

def submit():
    if not known():
        client.submit_job(**json.loads(os.environ["RAY_JOB_SUBMISSION"]))

async def follow():
    async for lines in client.tail_job_logs(job_id):
        print(lines, end="", flush=True)

client = patiently("connecting", lambda: JobSubmissionClient(address))
patiently("submitting", submit, tries=5)
while True:
    try:
        asyncio.run(follow())
    except Exception as error:
        print(f"the log broke off: {error}", file=sys.stderr)
    status = patiently("asking", lambda: client.get_job_status(job_id))
    if status.is_terminal():
        print(f"job {job_id}: {status}", file=sys.stderr)
        break
    time.sleep(2)
`.trim();
