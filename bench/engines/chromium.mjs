// Runs jobs in pages of Chromium that are cross-origin isolated, each in a worker.
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
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

const compiledLater = 5000; // milliseconds

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

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

async function inPage(page, address, work) {
  page.setDefaultTimeout(0);
  await page.goto(address);
  await page.waitForFunction(() => globalThis.bench);
  const { error, ...answer } = await page.evaluate(work.function, work.argument);
  if (error) throw new Error(error);
  return answer;
}

/** The most memory that a renderer of a browser has had, in bytes. */
async function peakResident(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const renderers = processInfo.filter(({ type }) => type === 'renderer');
  const peaks = renderers.map(({ id }) => Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))[1]));
  return 1024 * Math.max(...peaks);
}

export async function chromiumEngine() {
  await buildSite();
  const server = await serve();
  const address = `http://127.0.0.1:${server.address().port}/`;
  const browser = await chromium.launch({ executablePath, args: flags });

  async function run(job) {
    const page = await browser.newPage();
    try {
      return await inPage(page, address, { function: (job) => globalThis.bench.run(job), argument: job });
    } finally {
      await page.close();
    }
  }

  // In a browser of its own, whose largest renderer is the page's.
  async function memory(job) {
    const alone = await chromium.launch({ executablePath, args: flags });
    try {
      const page = await alone.newPage();
      const answer = await inPage(page, address, { function: (job) => globalThis.bench.run(job), argument: job });
      return { ...answer, resident: await peakResident(alone) };
    } finally {
      await alone.close();
    }
  }

  // Milliseconds from the start of a page's load to a first result: in a new profile, and in the same one later.
  async function coldStart(job) {
    const profile = mkdtempSync(join(tmpdir(), 'wimm-bench-'));
    const visit = async () => {
      const context = await chromium.launchPersistentContext(profile, { executablePath, args: flags });
      try {
        const page = context.pages()[0] ?? (await context.newPage());
        const work = { function: () => globalThis.bench.first };
        const { elapsed } = await inPage(
          page,
          `${address}?${encodeURIComponent(JSON.stringify({ ...job, task: 'first' }))}`,
          work,
        );
        await setTimeout(compiledLater); // what is compiled in the background is then kept
        return elapsed;
      } finally {
        await context.close();
      }
    };
    try {
      return { cold: await visit(), warm: await visit() };
    } finally {
      rmSync(profile, { recursive: true, force: true });
    }
  }

  return {
    title: `Chromium ${browser.version()}`,
    run,
    memory,
    coldStart,
    async close() {
      await browser.close();
      server.close();
    },
  };
}
