// The worker: a classic script, which loads the module that does the work.
globalThis.onmessage = async ({ data }) => {
  try {
    const { run } = await import('/site/job.js');
    globalThis.postMessage(await run(data));
  } catch (error) {
    globalThis.postMessage({ error: String(error?.stack ?? error) });
  }
};
