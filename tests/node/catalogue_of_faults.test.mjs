// Every fault of the catalogue has a test, or a reason why it cannot occur.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { collectTests, readCatalogue, render } from '../faults/catalogue.mjs';

const catalogue = readCatalogue();
const rows = catalogue.flatMap((section) => section.rows);
const found = collectTests();

test('the ids of the faults are unique', () => assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length));

test('every fault has a test, a reason why it cannot occur, or is open', (t) => {
  const untested = rows.filter(({ id, note, open }) => !found.has(id) && !note && !open).map(({ id }) => id);
  assert.deepEqual(untested, []);
  t.diagnostic(`${rows.filter(({ open }) => open).length} of ${rows.length} faults are open`);
});

test('every test that names a fault names one of the catalogue', () => {
  const ids = new Set(rows.map(({ id }) => id));
  assert.deepEqual(
    [...found.keys()].filter((id) => !ids.has(id)),
    [],
  );
});

test('the table is that of the catalogue (node tests/faults/catalogue.mjs)', () => {
  const table = readFileSync(join(import.meta.dirname, '../faults/README.md'), 'utf8');
  assert.equal(table, render(catalogue, found));
});
