/** Commits of the Ray releases that a gateway may have to name (`ray.__commit__` of each wheel). */
const commits: Record<string, string> = {
  '2.60.0': 'b7f4259e944bf6959f721b106adc366ddfa0c356',
};

/** Clients show it and decide nothing by it: a release that is not in the table has forty zeros. */
export function rayCommit(rayVersion: string): string {
  return commits[rayVersion] ?? '0'.repeat(40);
}

/** As a head names its session, `session_<start>_<pid>`; here it is this process's. */
export function sessionName(startedAt: Date, pid: number): string {
  const stamp = startedAt.toISOString().replace('T', '_').replaceAll(':', '-').replace('.', '_').replace('Z', '000');
  return `session_${stamp}_${pid}`;
}
