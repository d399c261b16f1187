// The catalogue of faults, and which test shows what becomes of each.
//   node tests/faults/catalogue.mjs          writes the table to README.md
//
// A test belongs to a row of catalogue.json by the row's id in brackets in its name: test('a body that ends early [N04]').
// A file of the corpus belongs to the row in its name: S05_header_length_2_63. A row may have a `note`, where (part of) a
// fault cannot occur, and is `open` while its test is still to be written.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const tests = join(import.meta.dirname, '..');
const readJson = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'));

/** Sections { title, rows: [{ id, fault, sees, note?, open? }] }. */
export const readCatalogue = () => readJson(import.meta.dirname, 'catalogue.json');

/** The manifest of the corpus: that of files made here, and that of PyTorch's own. */
function readManifests() {
  const folder = mkdtempSync(join(tmpdir(), 'wimm-faults-'));
  try {
    execFileSync('python3', ['-B', join(import.meta.dirname, 'make_files.py'), folder]);
    return [...readJson(folder, 'manifest.json'), ...readJson(import.meta.dirname, 'torch/manifest.json')];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Yields { id, file, name } for each id in the name of a test. */
function* namedTests() {
  const call = /\b(?:TEST_CASE|SUBCASE|test|it)\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g;
  for (const entry of readdirSync(tests, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(cpp|mjs)$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    for (const [, , name] of readFileSync(path, 'utf8').matchAll(call)) {
      for (const [, ids] of name.matchAll(/\[([A-Z]\d\d(?:, [A-Z]\d\d)*)\]/g))
        for (const id of ids.split(', '))
          yield { id, file: relative(tests, path), name: name.replace(/ ?\[[^\]]*\]/g, '') };
    }
  }
}

/** Map from id to { files, tests: [{ file, name }] }: how many files of the corpus, and which tests. */
export function collectTests() {
  const found = new Map();
  const of = (id) => found.get(id) ?? found.set(id, { files: 0, tests: [] }).get(id);
  for (const { row } of readManifests()) of(row).files++;
  for (const { id, ...test } of namedTests()) of(id).tests.push(test);
  return found;
}

const cell = (text) =>
  text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll('_', '\\_');

function cellsOf({ id, fault, sees, note, open }, found) {
  const { files, tests } = found.get(id) ?? { files: 0, tests: [] };
  const shown = [
    ...(files ? [`corpus: ${files} ${files === 1 ? 'file' : 'files'}`] : []),
    ...tests.map(({ file, name }) => `${file}: “${name}”`),
    ...(note ? [note] : []),
    ...(open ? ['**open**'] : []),
  ];
  return [id, cell(fault), cell(sees), shown.map((text) => (text === '**open**' ? text : cell(text))).join('<br>')];
}

/** The catalogue as Markdown. */
export function render(catalogue, found) {
  const rows = catalogue.flatMap(({ rows }) => rows);
  const open = rows.filter((row) => row.open).length;
  const lines = [
    '# Faults, and what becomes of them',
    '',
    `${rows.length} faults: bad files, networks, caches, images and calls. Each has a test, or a reason why it cannot occur; ${open} are open.`,
    'Written by `node tests/faults/catalogue.mjs` from [catalogue.json](catalogue.json), the names of the tests and the corpus.',
    '',
    'Whatever the fault: no abort, no hang, a typed error, memory as it was before the call, and the module goes on working.',
    'The corpus is read natively, under the address and undefined-behaviour sanitizers, and in WebAssembly, which has 32 bits, through the',
    'JavaScript interface (`cpp/faults_test.cpp`, `node/faults.test.mjs`); [readers.json](readers.json) holds what Python’s readers make of it.',
    '`tests/fuzz` adds what mutation finds.',
  ];
  for (const { title, rows } of catalogue) {
    lines.push('', `## ${title[0].toUpperCase()}${title.slice(1)}`, '');
    lines.push('| id | fault | the caller sees | tested by |', '| --- | --- | --- | --- |');
    for (const row of rows) lines.push(`| ${cellsOf(row, found).join(' | ')} |`);
  }
  return lines.join('\n') + '\n';
}

if (realpathSync(process.argv[1]) === import.meta.filename) {
  writeFileSync(join(import.meta.dirname, 'README.md'), render(readCatalogue(), collectTests()));
}
