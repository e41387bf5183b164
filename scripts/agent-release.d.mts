export function packAgent(root: string, release?: string): Promise<boolean>;
