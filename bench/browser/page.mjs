// The page: runs a job in a worker. One in its address is run at once, and timed from the start of the page's load.

// Not a module worker: LiteRT.js needs `importScripts`.
const worker = new globalThis.Worker('/site/worker.js');

const run = (job) =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message ?? 'the worker failed'));
    worker.postMessage(job);
  });

globalThis.bench = { run };

const job = decodeURIComponent(globalThis.location.search.slice(1));
if (job) globalThis.bench.first = run(JSON.parse(job)).then((answer) => ({ ...answer, elapsed: performance.now() }));
