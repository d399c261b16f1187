// Measures a page that was visited before, in Chromium: the time from its navigation to its first result, beside that of one
// forward pass; and of one that downloads its weights at a limited speed, the first forward pass, beside a later one.
//   npm run bench:page -- [--models resnet34,resnet50] [--rounds 9]
// Results go to bench/results/. Exits with 1 where the first result takes longer than 1.5 forward passes and 500 ms.
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { cpus } from 'node:os';
import { extname, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { chromium } from 'playwright-core';
import sharp from 'sharp';

import { createModel } from '../dist/index.js';
import { safetensors, weightsOf } from '../tests/node/support.mjs';

const { values: options } = parseArgs({
  options: {
    models: { type: 'string', default: 'mobilenetv3_small_100,tf_efficientnet_lite0,resnet34,resnet50' },
    rounds: { type: 'string', default: '9' },
  },
});
const folder = import.meta.dirname;
const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

async function serve(handler) {
  const server = createServer({ keepAliveTimeout: 0 }, handler);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, address: `http://127.0.0.1:${server.address().port}` };
}

const pixels = Uint8Array.from({ length: 640 * 480 * 3 }, (_, i) => 128 + 100 * Math.sin(i / 500));
const image = await sharp(pixels, { raw: { width: 640, height: 480, channels: 3 } })
  .png()
  .toBuffer();

/** The page and the package, to be kept by the browser. `onResult` gets what the page has measured. */
const site = (isolated, onResult) =>
  serve(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin');
      response.setHeader('cross-origin-embedder-policy', 'require-corp');
    }
    if (pathname === '/result') {
      response.writeHead(204).end();
      onResult(await json(request));
      return;
    }
    const path = pathname === '/' ? 'page/index.html' : pathname.replace(/^\/wimm\//, '../dist/');
    const file = pathname === '/main.js' ? 'page/main.js' : path;
    const body = pathname === '/image.png' ? image : await readFile(join(folder, file)).catch(() => undefined);
    response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream');
    response.setHeader('cache-control', 'max-age=3600');
    response.writeHead(body ? 200 : 404).end(body);
  });

const megabytesPerSecond = 10;
const downloadRounds = 3;

async function sendSlowly(response, bytes) {
  const pause = 20; // milliseconds
  const step = megabytesPerSecond * 1e3 * pause;
  const start = performance.now();
  for (let begin = 0, due = start + pause; begin < bytes.length; begin += step, due += pause) {
    response.write(bytes.subarray(begin, begin + step));
    await setTimeout(Math.max(0, due - performance.now()));
  }
  response.end();
}

/** A hub that has the weights of one model, and under `slow/` sends them at a limited speed. */
async function hubOf(name) {
  const model = await createModel(name, { threads: 1 });
  const weights = safetensors(weightsOf(model));
  model.dispose();
  return serve((request, response) => {
    const found = request.url.endsWith('/model.safetensors');
    const cors = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'ETag' };
    response.writeHead(found ? 200 : 404, { ...cors, etag: '"1"', 'content-length': found ? weights.length : 0 });
    if (found && request.url.startsWith('/slow/')) return sendSlowly(response, weights);
    response.end(found ? weights : undefined);
  });
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function measure(session, name, isolated) {
  let onResult;
  const [hub, page] = [await hubOf(name), await site(isolated, (result) => onResult(result))];
  // Past Playwright, for which the page would keep all that it downloads, and decode it.
  const visit = async (query = { hub: hub.address }) => {
    const result = new Promise((resolve) => (onResult = resolve));
    const url = `${page.address}/?${new URLSearchParams({ model: name, ...query })}`;
    const { targetId } = await session.send('Target.createTarget', { url });
    await result;
    await session.send('Target.closeTarget', { targetId });
    return result;
  };
  const cold = await visit();
  const visits = [];
  for (let i = 0; i < Number(options.rounds); i++) visits.push(await visit());
  const downloads = [];
  for (let i = 0; i < downloadRounds; i++) downloads.push(await visit({ hub: `${hub.address}/slow`, forward: '' }));
  for (const { server } of [hub, page]) {
    server.closeAllConnections();
    server.close();
  }
  const of = (key) => median(visits.map((visit) => visit[key]));
  return {
    model: name,
    variant: cold.variant,
    cold: cold.first,
    ...Object.fromEntries(['imported', 'ready', 'first', 'forward'].map((key) => [key, of(key)])),
    bound: 1.5 * of('forward') + 500,
    firstForward: median(downloads.map(({ first, ready, forward }) => (first - ready) / forward)),
  };
}

const columns = {
  imported: 'imported',
  ready: 'model ready',
  first: 'first result',
  bound: '1.5 forward + 500',
  forward: 'forward',
  cold: 'first result, first visit',
  firstForward: 'first forward, × a later one',
};

function toMarkdown({ date, cpu, browser, rounds, results }) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  const lines = results.map((result) => [
    result.model,
    result.variant,
    ...Object.keys(columns).map((key) => (key === 'firstForward' ? result[key].toFixed(2) : Math.round(result[key]))),
  ]);
  return `${[
    `${date}, ${cpu}, ${browser}, ${rounds} visits with a warm cache. Milliseconds, from the navigation on; medians. The last column is of ${downloadRounds} visits without a cache, to a server of ${megabytesPerSecond} MB/s.`,
    '',
    row(['model', 'build', ...Object.values(columns)]),
    row(['---', '---', ...Object.keys(columns).map(() => '---:')]),
    ...lines.map(row),
  ].join('\n')}\n`;
}

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = ['--headless', '--no-sandbox', '--disable-gpu'];
const browser = await chromium.launch({ executablePath, args });
const results = [];
try {
  const session = await browser.newBrowserCDPSession();
  // Visits are tabs of a window that is open: with each new one the browser starts pages of its own, on the same cores.
  await session.send('Target.createTarget', { url: 'about:blank' });
  for (const name of options.models.split(',')) {
    for (const isolated of [false, true]) results.push(await measure(session, name, isolated));
  }
} finally {
  await browser.close();
}
const report = {
  date: new Date().toISOString().slice(0, 10),
  cpu: cpus()[0].model,
  browser: `Chromium ${browser.version()}`,
  rounds: Number(options.rounds),
  results,
};
const markdown = toMarkdown(report);
console.log(markdown);
mkdirSync(join(folder, 'results'), { recursive: true });
writeFileSync(join(folder, 'results/page.json'), `${JSON.stringify(report, null, 2)}\n`);
writeFileSync(join(folder, 'results/page.md'), markdown);
if (results.some(({ first, bound }) => first > bound)) process.exitCode = 1;
