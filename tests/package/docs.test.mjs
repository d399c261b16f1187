// `npm run docs` writes pages that work from any folder, without a network.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { launch, skip } from '../browser/support.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'wimm-docs-'));
after(() => rmSync(folder, { recursive: true, force: true }));

// Fails for what is exported without being documented, and for links that the sources get wrong.
execFileSync('npm', ['run', '--silent', 'docs', '--', '--out', folder], { cwd: root });
const pages = readdirSync(folder, { recursive: true }).filter((path) => path.endsWith('.html'));
const html = Object.fromEntries(pages.map((path) => [path, readFileSync(join(folder, path), 'utf8')]));

const attributes = (text, name) =>
  [...text.matchAll(new RegExp(`\\s${name}="([^"]*)"`, 'g'))].map(([, value]) => value);

test('there is a page for every guide and every export', () => {
  const names = execFileSync(process.execPath, [
    '--input-type=module',
    '-e',
    "console.log(Object.keys(await import('wimm')).join('\\n'))",
  ]);
  for (const name of String(names).trim().split('\n')) {
    assert.ok(
      pages.some((path) => path.endsWith(`.${name}.html`)),
      name,
    );
  }
  for (const guide of readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))) {
    const [, heading] = /^# (.*)$/m.exec(readFileSync(join(root, 'docs', guide), 'utf8'));
    assert.ok(
      Object.values(html).some((text) => text.includes(`>${heading}<`)),
      guide,
    );
  }
});

test('every link leads to a page, and to a place in it', () => {
  let count = 0;
  for (const path of pages) {
    for (const link of [...attributes(html[path], 'href'), ...attributes(html[path], 'src')]) {
      if (/^(https?|data):/.test(link)) continue;
      const [file, place] = link.split('#');
      const target = file ? relative(folder, resolve(folder, path, '..', decodeURI(file))) : path;
      assert.ok(!target.startsWith('..') && existsSync(join(folder, target)), `${path}: ${link}`);
      if (place && html[target])
        assert.ok(attributes(html[target], 'id').includes(decodeURI(place)), `${path}: ${link}`);
      count++;
    }
  }
  assert.ok(count > 1000);
});

test('a browser shows them from a folder, and asks nobody for anything', { skip }, async () => {
  const browser = await launch('--allow-file-access-from-files');
  const tab = await browser.newPage();
  const seen = [];
  tab.on('request', (request) => seen.push(request.url()));
  tab.on('pageerror', (error) => seen.push(String(error)));
  for (const page of ['index.html', pages.find((path) => path.endsWith('.Model.html'))]) {
    await tab.goto(String(pathToFileURL(join(folder, page))));
    await tab.locator('nav a', { hasText: 'createModel' }).first().waitFor({ state: 'attached' });
  }
  const here = String(pathToFileURL(folder));
  assert.deepEqual(
    seen.filter((url) => !url.startsWith(here)),
    [],
  );
});
