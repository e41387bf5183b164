export function findPython(): Promise<string>;
export function ensureEnvironment(title: string, venv: string, lock: string, toolsDir: string): Promise<void>;
