// What the package contains of others is told, under licences that are there, and pinned.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Spec, Validation } from '@cyclonedx/cyclonedx-library';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const readJson = (path) => JSON.parse(read(path));

const bill = readJson('dist/sbom.cdx.json');
const named = new Map(bill.components.flatMap((each) => [each, ...(each.components ?? [])]).map((c) => [c.name, c]));
const notices = read('dist/THIRD-PARTY-NOTICES.txt');

/** The sections of the notices, by their headings. */
const parts = notices.split(/(?:^|\n)(\S[^\n]*)\n=+\n\n/).slice(1);
const sections = parts.flatMap((title, i) => (i % 2 ? [] : [[title, parts[i + 1]]]));

// What the licences themselves say.
const wordings = {
  MIT: /Permission is hereby granted, free of charge, to any person/,
  'BSD-2-Clause': /Redistributions in binary form must reproduce the above copyright/,
  'BSD-3-Clause': /may be used to endorse or promote products/,
  Zlib: /This software is provided 'as-is', without any express or implied/,
  'Apache-2.0': /Apache License,? Version 2\.0/,
  'Apache-2.0 WITH LLVM-exception': /you may redistribute such embedded portions in such Object form/,
  'MIT OR NCSA': /University of Illinois/,
  'CC0-1.0': /released to the public domain/,
  'LicenseRef-WordNet-3.0': /WordNet 3\.0 Copyright 2006 by Princeton University/,
};

test('the bill of materials is as CycloneDX has it', async () => {
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
  assert.equal(await validator.validate(JSON.stringify(bill)), null);
  assert.notEqual(await validator.validate(JSON.stringify({ ...bill, components: [{ name: 'x' }] })), null);
});

test('it names all that is in the package', () => {
  const code = ['xnnpack', 'pthreadpool', 'fxdiv', 'fp16', 'zlib', 'flatbuffers', 'rapidjson', 'emscripten'];
  const libraries = ['musl', 'dlmalloc', 'compiler-rt', 'libc++', 'libc++abi', 'libunwind'];
  const others = ['image-dimensions', 'wasm-feature-detect', 'timm', 'WordNet'];
  assert.deepEqual([...named.keys()].sort(), [...code, ...libraries, ...others].sort());
});

test('every part of it has its licence in the notices', () => {
  for (const [name, { licenses }] of named) {
    const [, text] = sections.find(([title]) => title.split(/, (?:with )?/).includes(name)) ?? [];
    assert.ok(text, `${name} has no section`);
    assert.match(text.replace(/\s+/g, ' '), wordings[licenses[0].expression], name);
  }
  assert.match(notices, /TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION/); // of Apache-2.0, in full
});

test('every input is pinned', () => {
  for (const [name, { version, sha256 }] of Object.entries(readJson('cmake/third-party.json').sources)) {
    assert.ok(version && /^[0-9a-f]{64}$/.test(sha256), name);
  }
  for (const [path, { version, integrity, link }] of Object.entries(readJson('package-lock.json').packages)) {
    if (path && !link) assert.ok(version && /^sha512-/.test(integrity), path);
  }
  assert.match(read('scripts/samples.txt'), /^(#.*\n)*([\w.-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}\n)+$/);
  const requirements = ['bench', 'tests'].flatMap((folder) =>
    readdirSync(new URL(`../../${folder}`, import.meta.url), { recursive: true })
      .filter((path) => path.endsWith('requirements.txt') && !path.includes('node_modules'))
      .map((path) => `${folder}/${path}`),
  );
  assert.ok(requirements.length > 1);
  for (const file of requirements) assert.match(read(file), /^(#.*\n|-r .*\n|[\w.-]+==[\w.]+\n)+$/, file);
  for (const version of Object.values(readJson('bench/package.json').dependencies)) {
    assert.match(version, /^(npm:[\w-]+@)?\d+\.\d+\.\d+$/);
  }
});

test('the limits of weights that are documented are those of the code', () => {
  const code = read('include/wimm/weights.h');
  const limit = (name) => Number(new RegExp(`${name} = ([\\d']+);`).exec(code)[1].replaceAll("'", ''));
  const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ' ');
  const rows = {
    'directory of an archive': `${limit('header_bytes') / 1e6} MB`,
    'tensors of a file': grouped(limit('tensors')),
    "bytes of a tensor's name": grouped(limit('tensor_name_bytes')),
    'dimensions of a tensor': String(limit('rank')),
  };
  const guide = read('docs/weights.md').split('\n');
  for (const [what, value] of Object.entries(rows)) {
    const row = guide.find((line) => line.startsWith('|') && line.includes(what));
    assert.equal(row?.split('|')[2].trim(), value, what);
  }
});
