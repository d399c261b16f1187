// What the tests' server answers: the package under /wimm/, the corpus, and an empty page.
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { find } from './corpus.mjs';

const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const types = {
  '': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
};
const texts = {
  '/': '<!doctype html><title>images</title>',
  '/unsized.svg': '<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
  '/page.png': '<!doctype html><p>Not found',
};

/** A handler of requests. */
export async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const body =
    texts[pathname] ??
    find(pathname.slice(1))?.file ??
    (await readFile(join(dist, pathname.replace(/^\/wimm\//, ''))).catch(() => undefined));
  response.setHeader('content-type', types[extname(pathname)] ?? '');
  response.writeHead(body ? 200 : 404).end(body);
}
