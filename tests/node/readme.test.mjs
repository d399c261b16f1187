// The README's JavaScript runs, and gives what its comments say.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { createModel } from 'wimm';

import { samples } from '../../scripts/samples.mjs';
import { checkpoint } from '../parity/synthetic.mjs';
import { safetensors } from './support.mjs';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'build/readme');

// A statement whose comment is a value, `value;  // [1, 2]`, or that of a variable, `const x = f();  // x: [1, 2]`, becomes a
// check as well. An ellipsis stands for more elements of a list.
function checked(line) {
  const [, statement, comment] = /^(.*?);\s+\/\/ (.*)$/.exec(line) ?? [];
  if (!comment) return line;
  const [, name, value] = /^(?:(\w+): )?([[{'].*)$/.exec(comment) ?? [];
  if (!value) return line;
  const expected = value.replace(/, …\]$/, ']');
  const compare = (actual) => `same(${actual}, ${expected}, ${value !== expected});`;
  return name ? `${statement};\n${compare(name)}` : compare(statement);
}

function program(markdown) {
  const blocks = [...markdown.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);
  assert.ok(blocks.length > 5);
  const lines = blocks.join('\n').split('\n');
  return `import assert from 'node:assert/strict';
import { configure } from 'wimm';
configure({ hub: process.env.HUB, cache: false });
const same = (actual, expected, prefix) => assert.deepEqual(prefix ? actual.slice(0, expected.length) : actual, expected);
${lines.map(checked).join('\n')}
`;
}

async function weightsOf(name, options) {
  const model = await createModel(name, options);
  const bytes = safetensors(checkpoint(model.parameters(), 1));
  model.dispose();
  return bytes;
}

let server;

before(async () => {
  mkdirSync(folder, { recursive: true });
  const { photographs } = await samples();
  copyFileSync(photographs.chelsea, join(folder, 'chelsea.png'));
  writeFileSync(join(folder, 'weights.pth'), await weightsOf('resnet18', { numClasses: 7 }));
  const resnet34 = await weightsOf('resnet34');
  server = createServer((request, response) => {
    const found = /^\/timm\/resnet34\.\w+\/resolve\/main\/model\.safetensors$/.test(request.url);
    response.writeHead(found ? 200 : 404).end(found ? resnet34 : undefined);
  });
  await promisify(server.listen.bind(server))(0, '127.0.0.1');
});

after(() => server.close());

test('every JavaScript example of the README runs and gives what its comments say', async () => {
  const file = join(folder, 'readme.mjs');
  writeFileSync(file, program(readFileSync(join(root, 'README.md'), 'utf8')));
  const env = { ...process.env, HUB: `http://127.0.0.1:${server.address().port}` };
  await promisify(execFile)(process.execPath, [file], { cwd: folder, env });
});
