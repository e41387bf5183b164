/** What /proc/PID/stat says of a process (proc(5)). Null for the empty text of one that has gone. */
export function readProcStat(text: string): { state: string; startTicks: number } | null {
  if (text === '') return null;
  // The command's name stands in brackets and may hold anything, brackets too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startTicks: Number(fields[19]) };
}
