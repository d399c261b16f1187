// The demo: static files that any host serves from any folder.
import { readdirSync, readFileSync } from 'node:fs';

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

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [counts(), contentSecurityPolicy()],
  server: { headers: isolation },
  preview: { headers: isolation },
  worker: { format: 'es' },
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false }, emptyOutDir: true },
});
