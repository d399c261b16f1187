// The JavaScript of the README and the guides runs, and gives what its comments say: in Node.js, or where it speaks of the
// document, in a page.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { createModel } from 'wimm';

import { samples } from '../../scripts/samples.mjs';
import { launch, site, skip } from '../browser/support.mjs';
import { checkpoint } from '../parity/synthetic.mjs';
import { safetensors, serve, temporaryFolder } from './support.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const guides = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith('.md'),
);

// A statement whose comment is a value, `value;  // [1, 2]`, or that of a variable, `const x = f();  // x: [1, 2]`, becomes a
// check as well. An ellipsis stands for more elements of a list.
function checked(line) {
  const [, statement, comment] = /^(.*?);\s+\/\/ (.*)$/.exec(line) ?? [];
  if (!comment) return line;
  const [, name, value] = /^(?:(\w+): )?([[{'].*|true|false|undefined)$/.exec(comment) ?? [];
  if (!value) return line;
  const expected = value.replace(/, …\]$/, ']');
  const compare = (actual) => `same(${actual}, ${expected}, ${value !== expected});`;
  return name ? `${statement};\n${compare(name)}` : compare(statement);
}

/** The blocks of a guide that are for a page, or that are not. */
function blocks(file, forPage) {
  const markdown = readFileSync(join(root, file), 'utf8');
  return [...markdown.matchAll(/```js\n(.*?)```/gs)]
    .map(([, code]) => code)
    .filter((code) => /\bdocument\./.test(code) === forPage);
}

async function weightsOf(name, options) {
  const model = await createModel(name, options);
  const bytes = safetensors(checkpoint(model.parameters(), 1));
  model.dispose();
  return bytes;
}

const published = {};
for (const name of ['resnet18', 'resnet34', 'mobilenetv3_small_050']) published[name] = await weightsOf(name);

/** The web, as far as guides know it: weights of these models, under whatever address. */
function weightsAt(path) {
  return published[/\/(\w+)(?:\.\w+\/resolve\/main\/model)?\.safetensors$/.exec(path)?.[1]];
}

const web = await serve((request, response) => {
  const body = weightsAt(request.url);
  response.writeHead(body ? 200 : 404, { etag: '"1"' }).end(body);
});

const folder = temporaryFolder();
const { photographs } = await samples();
copyFileSync(photographs.chelsea, join(folder, 'chelsea.png'));
writeFileSync(join(folder, 'weights.pth'), await weightsOf('resnet18', { numClasses: 7 }));

const prologue = `import assert from 'node:assert/strict';
import { fetchFrom } from '${new URL('support.mjs', import.meta.url)}';
const same = (actual, expected, prefix) => assert.deepEqual(prefix ? actual.slice(0, expected.length) : actual, expected);
globalThis.fetch = fetchFrom(${JSON.stringify(web)});
`;

for (const file of guides) {
  const code = blocks(file, false).join('\n');
  if (!code) continue;
  test(`${file} does what it says`, async () => {
    const program = join(folder, `${file.replace(/\W/g, '_')}.mjs`);
    const lines = code.replaceAll("from 'wimm'", `from '${pathToFileURL(join(root, 'dist/index.js'))}'`).split('\n');
    writeFileSync(program, prologue + lines.map(checked).join('\n'));
    const env = { ...process.env, XDG_CACHE_HOME: folder };
    await promisify(execFile)(process.execPath, [program], { cwd: folder, env });
  });
}

const browser = await launch('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream');

for (const file of guides) {
  for (const code of blocks(file, true)) {
    test(`${file} does what it says in a page`, { skip }, async () => {
      const module = code.replaceAll("from 'wimm'", "from '/wimm/index.js'");
      const page = '<video muted></video><output></output><script type="module" src="/guide.js"></script>';
      const policy = "default-src 'self' 'wasm-unsafe-eval'; connect-src 'self' https://huggingface.co";
      const address = await site({ '/guide': page, '/guide.js': module }, { policy });
      const tab = await browser.newPage();
      const errors = [];
      tab.on('pageerror', (error) => errors.push(String(error)));
      await tab.route('https://huggingface.co/**', (route) =>
        route.fulfill({
          body: Buffer.from(weightsAt(new URL(route.request().url()).pathname)),
          headers: { 'access-control-allow-origin': '*' },
        }),
      );
      await tab.goto(`${address}/guide`);
      await tab.waitForFunction(() => / 0\.\d\d$/.test(document.querySelector('output').textContent));
      await tab.evaluate(() =>
        document
          .querySelector('video')
          .srcObject.getTracks()
          .forEach((track) => track.stop()),
      );
      assert.deepEqual(errors, []);
      await tab.close();
    });
  }
}
