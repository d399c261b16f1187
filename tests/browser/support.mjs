// What tests in a browser share: browsers, a site of the package and what a test adds, and tabs that import the package.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

import { samples } from '../../scripts/samples.mjs';
import { serve } from '../node/support.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const flags = `--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
  --disable-component-update --disable-sync`.split(/\s+/);

const firefoxPath = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

/** Milliseconds that a browser may take for one thing, on a machine that has much else to do. */
const patience = 120_000;

const absent = (path) => !existsSync(path) && `there is no ${path}`;

/** Why tests in Chromium are left out, if they are: an option of `test`. */
export const skip = absent(executablePath);

/** Chromium, for as long as the test file runs; nothing where there is none. */
export async function launch(...more) {
  if (skip) return undefined;
  const browser = await chromium.launch({ executablePath, args: [...flags, ...more] });
  after(() => browser.close());
  return browser;
}

/** Chromium by Puppeteer, whose tabs can be hidden and frozen: Playwright keeps its own visible. */
export async function launchHidable() {
  if (skip) return undefined;
  const options = { executablePath, args: flags, headless: true, timeout: 0, protocolTimeout: 0 };
  const browser = await puppeteer.launch(options);
  after(() => browser.close());
  return browser;
}

/** Firefox, by WebDriver BiDi; its tabs have of Playwright's interface what `open` and simple tests use. */
async function launchFirefox() {
  if (absent(firefoxPath)) return undefined;
  const limits = { timeout: patience, protocolTimeout: patience };
  const options = { executablePath: firefoxPath, browser: 'firefox', headless: true, ...limits };
  const browser = await puppeteer.launch(options);
  const kill = () => browser.process()?.kill('SIGKILL');
  after(async () => {
    const timer = setTimeout(kill, 20_000);
    await browser.close().finally(() => clearTimeout(timer));
  });
  return browser;
}

/**
 * What `work` gives in the browser, or in one launched anew where the first does not answer: at times Firefox's driver
 * loses a page whose headers move it to another process.
 */
export async function answered(launched, launch, t, work) {
  try {
    return await work(launched);
  } catch (error) {
    if (!/timed out|TimeoutError/.test(`${error.name}: ${error.message}`)) throw error;
    t.diagnostic(`the browser does not answer, and is launched again: ${error.message}`);
    return work(await launch());
  }
}

/** For tests that run in every browser: how to launch each, and why its tests are left out, if they are. */
export const browsers = {
  Chromium: { launch, skip },
  Firefox: { launch: launchFirefox, skip: absent(firefoxPath) },
};

const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const types = {
  '': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.png': 'image/png',
};

/** All that the package needs: it evaluates no strings, and its workers are files. */
export const strictPolicy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

/**
 * Serves the package under /wimm/, an empty page as /, and `content`: path → body, or a handler of requests. `isolated`
 * with the headers that threads need. Gives the address.
 */
export async function site(content = {}, { isolated = false, policy = strictPolicy } = {}) {
  const pages = { '/': '<!doctype html><title>wimm</title>', ...content };
  return serve(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin');
      response.setHeader('cross-origin-embedder-policy', 'require-corp');
    }
    response.setHeader('content-security-policy', policy);
    response.setHeader('content-type', types[extname(pathname)] ?? 'application/octet-stream');
    const file =
      pages[pathname] ?? (await readFile(join(dist, pathname.replace(/^\/wimm\//, ''))).catch(() => undefined));
    if (typeof file === 'function') await file(request, response);
    else response.writeHead(file === undefined ? 404 : 200).end(file);
  });
}

/** Content for a site: photographs, and the weights of tf_efficientnet_lite0. */
export async function realContent() {
  const { weights, photographs } = await samples();
  return {
    '/weights.pth': await readFile(weights),
    '/chelsea.png': await readFile(photographs.chelsea),
    '/coffee.png': await readFile(photographs.coffee),
  };
}

/**
 * A tab of its own storage on a site, whose `window.wimm` is the package. Its `kept` waits until an address is cached, `files` and
 * `entries` give what is cached: handles of files; names of these, and addresses of responses. `damage` flips a bit of the last one,
 * so many bytes before its end.
 */
export async function open(browser, address) {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(patience);
  await tab.goto(address);
  await tab.evaluate(async () => {
    window.wimm = await import('/wimm/index.js');
    window.kept = (address) => navigator.locks?.request(`wimm ${new URL(address, window.location.href)}`, () => {});
    window.files = async () => {
      const root = await navigator.storage?.getDirectory?.();
      const folder = await root?.getDirectoryHandle('wimm-1').catch(() => undefined);
      if (!folder) return [];
      const all = await Array.fromAsync(folder.values(), async (handle) => {
        const isWhole = /^[0-9a-f]+$/.test(handle.name) && (await handle.getFile()).size > 0;
        return isWhole ? [handle] : []; // the others are being written
      });
      return all.flat();
    };
    window.entries = async () => {
      const caches = await Promise.all(((await window.caches?.keys()) ?? []).map((name) => window.caches.open(name)));
      const responses = (await Promise.all(caches.map((cache) => cache.keys()))).flat();
      return [...(await window.files()).map(({ name }) => name), ...responses.map(({ url }) => url)];
    };
    window.damage = async (fromEnd) => {
      const file = (await window.files()).at(-1);
      if (file) {
        const { size } = await file.getFile();
        const [length] = new Uint32Array(await (await file.getFile()).slice(size - 4).arrayBuffer());
        const position = size - 4 - length - fromEnd;
        const [byte] = new Uint8Array(await (await file.getFile()).slice(position, position + 1).arrayBuffer());
        const writable = await file.createWritable({ keepExistingData: true });
        await writable.write({ type: 'write', position, data: Uint8Array.of(byte ^ 64) });
        return writable.close();
      }
      const cache = await window.caches.open('wimm-1');
      const [request] = await cache.keys();
      const response = await cache.match(request);
      const bytes = new Uint8Array(await response.arrayBuffer());
      bytes[bytes.length - fromEnd] ^= 64;
      return cache.put(request, new Response(bytes, { headers: response.headers }));
    };
  });
  return tab;
}
