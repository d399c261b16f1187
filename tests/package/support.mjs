// What tests of the packed package share: the package as it is published, and a plain host of pages that use it.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

import { strictPolicy } from '../browser/support.mjs';
import { serve } from '../node/support.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const destination = mkdtempSync(join(tmpdir(), 'wimm-pack-'));
after(() => rmSync(destination, { recursive: true, force: true }));

const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', destination];
/** What `npm pack` tells. */
export const [packed] = JSON.parse(execFileSync('npm', pack, { cwd: root, encoding: 'utf8' }));

/** An empty folder below the tools that the repository has installed. */
export function buildFolder(name) {
  const folder = join(root, 'build', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Unpacks the package into `folder`, as npm installs it. Gives the package's own folder. */
export function installPackage(folder, at = 'node_modules/wimm') {
  const installed = join(folder, at);
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(destination, packed.filename), '--strip-components=1', '-C', installed]);
  return installed;
}

const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** Serves a folder as a plain host does, under a strict policy. `files`: a path → its content. */
export function host(files, isolated) {
  return serve(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    response.setHeader('content-security-policy', `${strictPolicy}; connect-src 'self' https://huggingface.co`);
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin');
      response.setHeader('cross-origin-embedder-policy', 'require-corp');
    }
    const path = pathname.endsWith('/') ? `${pathname}index.html` : pathname;
    const body = await files(path).catch(() => undefined);
    response.writeHead(body ? 200 : 404, { 'content-type': types[extname(path)] ?? 'text/plain' }).end(body);
  });
}
