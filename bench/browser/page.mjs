// The page: runs jobs in a worker. One in its address it runs itself, at once, as the runtimes' own examples do, and times it
// from the start of the page's load.

function startWorker() {
  const worker = new globalThis.Worker('/site/worker.js'); // not a module: LiteRT.js needs `importScripts`
  return (job) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message ?? 'the worker failed'));
      worker.postMessage(job);
    });
}

async function first(job) {
  const { run } = await import('./job.mjs');
  return { ...(await run(job)), elapsed: performance.now() };
}

const job = decodeURIComponent(globalThis.location.search.slice(1));
globalThis.bench = job ? { first: first(JSON.parse(job)) } : { run: startWorker() };
