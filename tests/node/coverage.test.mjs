// What the catalogue offers is proven.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test("every architecture that is created, of either release, has a golden, and every module's weights one of the Hub's layout", () => {
  const script = join(import.meta.dirname, '../../scripts/coverage.mjs');
  const table = execFileSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  const [, listed, created, golden] = /^all +(\d+) +(\d+) +(\d+)/m.exec(table).map(Number);
  assert.ok(listed >= created && created === golden && golden > 0, table);
});
