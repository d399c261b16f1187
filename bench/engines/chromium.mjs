// Runs jobs in pages of Chromium that are cross-origin isolated, each in a worker.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const folder = fileURLToPath(new URL('..', import.meta.url));
const roots = {
  wimm: join(folder, '../dist'),
  models: join(folder, '.cache/models'),
  site: join(folder, '.cache/site'),
  node_modules: join(folder, 'node_modules'),
};
const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};
const flags = `--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking
  --disable-component-update --disable-sync --enable-precise-memory-info`.split(/\s+/);

/** The runtimes bundled for a browser, each a module of its own, and a page that runs a job in a worker. */
async function buildSite() {
  await build({
    absWorkingDir: folder,
    entryPoints: ['page.mjs', 'worker.mjs', 'job.mjs'].map((name) => join(folder, 'browser', name)),
    outdir: roots.site,
    bundle: true,
    splitting: true,
    format: 'esm',
    alias: { 'onnxruntime-web': 'onnxruntime-web/wasm' }, // without what WebGPU needs
    logLevel: 'error',
  });
}

/** Serves the bundles, wimm's package and the exports on a port of its own. */
function serve() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const [, root, ...path] = pathname.split('/');
    const file = roots[root] && join(roots[root], ...path);
    response.setHeader('cross-origin-opener-policy', 'same-origin');
    response.setHeader('cross-origin-embedder-policy', 'require-corp');
    response.setHeader('cache-control', 'max-age=3600');
    if (pathname === '/') {
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><body><script type="module" src="/site/page.js"></script>');
    } else if (file && existsSync(file) && statSync(file).isFile()) {
      response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream');
      response.setHeader('content-length', statSync(file).size);
      createReadStream(file).pipe(response);
    } else response.writeHead(404).end();
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

export async function chromiumEngine() {
  await buildSite();
  const server = await serve();
  const address = `http://127.0.0.1:${server.address().port}/`;
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: flags });
  return {
    title: `Chromium ${browser.version()}`,
    async run(job) {
      const page = await browser.newPage();
      try {
        page.setDefaultTimeout(0);
        await page.goto(address);
        const { error, ...answer } = await page.evaluate(async (job) => (await globalThis.ready).run(job), job);
        if (error) throw new Error(error);
        return answer;
      } finally {
        await page.close();
      }
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}
