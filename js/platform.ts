// Where the package runs.

export const isNode: boolean =
  typeof process === 'object' &&
  typeof process.versions?.node === 'string' &&
  typeof process.getBuiltinModule === 'function';

/** Threads that the machine runs at once, as far as the platform tells. */
export function hardwareThreads(): number {
  if (isNode) return process.getBuiltinModule('os').availableParallelism();
  return (typeof navigator === 'object' && navigator.hardwareConcurrency) || 1;
}
