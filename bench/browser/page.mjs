// The page: starts a worker for a job, and gives its answer.
globalThis.ready = Promise.resolve({
  // Not a module worker: LiteRT.js needs `importScripts`.
  run: (job) =>
    new Promise((resolve, reject) => {
      const worker = new globalThis.Worker('/site/worker.js');
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message ?? 'the worker failed'));
      worker.postMessage(job);
    }),
});
