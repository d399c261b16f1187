// The demo: static files that any host serves from any folder.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { defineConfig, type Plugin } from 'vite';

const goldens = new URL('../tests/parity/goldens/', import.meta.url);
const isolation = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
const policy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "img-src 'self' blob:",
  "media-src 'self' blob:",
  'connect-src * blob:', // weights from anywhere
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

interface Golden {
  model: string;
  in_chans: number;
  state_dict: { elements: number };
}

/** The number of parameters of each model, as timm counted them when the goldens were made. */
function parameterCounts(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const file of readdirSync(goldens)) {
    const { cases } = JSON.parse(readFileSync(new URL(file, goldens), 'utf8')) as { cases: Golden[] };
    for (const { model, in_chans, state_dict } of cases) if (in_chans === 3) counts[model] ??= state_dict.elements;
  }
  return counts;
}

/** `virtual:parameter-counts` */
function counts(): Plugin {
  const name = 'virtual:parameter-counts';
  return {
    name,
    resolveId: (id) => (id === name ? `\0${name}` : undefined),
    load: (id) => (id === `\0${name}` ? `export default ${JSON.stringify(parameterCounts())}` : undefined),
  };
}

/** The policy of the page. The development server's client would break it. */
function contentSecurityPolicy(): Plugin {
  return {
    name: 'content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      { tag: 'meta', attrs: { 'http-equiv': 'content-security-policy', content: policy }, injectTo: 'head-prepend' },
    ],
  };
}

/** `service_worker.js`, told which files there are: all, but for the page, which it knows by its folder. */
function serviceWorker(): Plugin {
  const script = readFileSync(new URL('service_worker.js', import.meta.url), 'utf8');
  return {
    name: 'service-worker',
    apply: 'build',
    writeBundle({ dir = '' }) {
      const entries = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      const files = entries.map(({ parentPath, name }) => relative(dir, join(parentPath, name))).sort();
      const digest = createHash('sha256').update(script);
      for (const file of files) digest.update(file).update(readFileSync(join(dir, file)));
      const version = digest.digest('hex').slice(0, 16);
      const kept = JSON.stringify(files.filter((file) => file !== 'index.html'));
      writeFileSync(join(dir, 'service_worker.js'), `const version = '${version}';\nconst files = ${kept};\n${script}`);
    },
  };
}

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [counts(), contentSecurityPolicy(), serviceWorker()],
  server: { headers: isolation },
  preview: { headers: isolation },
  worker: { format: 'es' },
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false }, emptyOutDir: true },
});
