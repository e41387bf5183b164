export interface Explanation {
  satisfiable: boolean;
}
export function explain(..._: unknown[]): Explanation {
  return { satisfiable: true };
}
