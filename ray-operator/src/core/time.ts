/** Times as Kubernetes writes them: RFC 3339, in whole seconds. */
export const rfc3339 = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+/, '');
