// What tests of the demo share: the demo as it is built, on a plain static host that sends no headers for isolation, and
// its visitors. The hub has the sample weights.
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'vite';

import { samples } from '../../scripts/samples.mjs';
import { serve, temporaryFolder } from '../node/support.mjs';
import { launch, skip } from './support.mjs';

const types = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
};
const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:; connect-src * blob:";

export const { weights, photographs } = skip ? {} : await samples();
export const browser = await launch('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream');

/** Builds the demo, with further plugins. Gives the folder. */
export async function buildDemo(...plugins) {
  const folder = temporaryFolder();
  await build({
    root: fileURLToPath(new URL('../../web', import.meta.url)),
    plugins,
    build: { outDir: folder },
    logLevel: 'error',
  });
  return folder;
}

/**
 * Serves what `folderOf()` has below /some/folder/, and `content`: path → handler. Where it gives no folder, the server is
 * down. Gives the address of the page.
 */
export async function host(folderOf, content = {}, headers = {}) {
  const below = '/some/folder/';
  const origin = await serve(async (request, response) => {
    const folder = folderOf();
    if (!folder) return request.socket.destroy();
    const { pathname } = new URL(request.url, 'http://localhost');
    for (const [name, value] of Object.entries({ 'content-security-policy': policy, ...headers })) {
      response.setHeader(name, value);
    }
    if (content[pathname]) return content[pathname](request, response);
    const path = pathname.slice(below.length) || 'index.html';
    const body = pathname.startsWith(below) && (await readFile(join(folder, path)).catch(() => undefined));
    response.setHeader('content-type', types[extname(path)] ?? 'text/plain');
    response.writeHead(body ? 200 : 404).end(body || undefined);
  });
  return `${origin}${below}`;
}

/** Faults of the pages' own: what they throw, and what their policy forbids. */
export const faults = [];

/** A page of a visitor who has not been here before, isolated by its service worker. */
export async function visit(address, options = {}) {
  const context = await browser.newContext(options);
  await context.route('https://huggingface.co/**', (route) => route.fulfill({ path: weights }));
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => message.text().includes('Content Security Policy') && faults.push(message.text()));
  await page.goto(address);
  await page.waitForFunction(() => window.crossOriginIsolated);
  await page.waitForSelector('#load:enabled');
  return page;
}

/** Waits until the model is loaded, and all is drawn. */
export function done(page) {
  return page.waitForSelector('body[data-state="done"]');
}

/** The classes that are shown. */
export async function classes(page) {
  const labels = await page.locator('#classes:not(.stale) .label').allTextContents();
  const shares = await page.locator('#classes .share').allTextContents();
  return labels.map((label, i) => ({ label, probability: parseFloat(shares[i]) / 100 }));
}
