// The licences of the third-party code and data that the package contains, as one text.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from './process.mjs';

const pins = JSON.parse(readFileSync(join(root, 'cmake/third-party.json'), 'utf8'));

const section = (title, text) => `${title}\n${'='.repeat(title.length)}\n\n${text.trim()}\n`;

/** What Emscripten puts into a module: its JavaScript, and the libraries that it links. */
const isLinked = (path) => /^(\*|src\/.*|system\/lib\/.*)$/.test(path);

const isHeader = (path) => /^(\*|include\/.*)$/.test(path);

/** Of a copyright file in Debian's format, what concerns the files that are `used`. */
function partOf(copyright, used) {
  const paragraphs = copyright.split(/\n{2,}/);
  const valueOf = (paragraph, field) => new RegExp(`^${field}:((?:.*)(?:\\n .*)*)`, 'm').exec(paragraph)?.[1] ?? '';
  const files = paragraphs.filter((paragraph) => valueOf(paragraph, 'Files').split(/\s+/).some(used));
  const names = files.flatMap((paragraph) =>
    valueOf(paragraph, 'License')
      .split('\n')[0]
      .split(/ (?:or|and) |[()]/),
  );
  const wanted = new Set(names.map((name) => name.trim().replace(/ with .*/, '')));
  const licences = paragraphs.filter((paragraph) => /^License:/.test(paragraph));
  return [...files, ...licences.filter((text) => wanted.has(valueOf(text, 'License').split('\n')[0].trim()))].join(
    '\n\n',
  );
}

/** Debian's Emscripten has its licences among the documentation, emsdk's beside what they are of. */
function emscriptenLicences(folder) {
  const copyright = join(folder, '../doc/emscripten/copyright');
  if (existsSync(copyright)) return partOf(readFileSync(copyright, 'utf8'), isLinked);
  const libraries = ['libc/musl/COPYRIGHT', 'libcxx/LICENSE.TXT', 'compiler-rt/LICENSE.TXT'];
  const files = ['LICENSE', ...libraries.map((file) => `system/lib/${file}`)].map((file) => join(folder, file));
  return files.map((file) => readFileSync(file, 'utf8').trim()).join('\n\n');
}

/** Of the WebAssembly modules. `sources` as setUp returns it, with the prefix of the tools and the folder of Emscripten. */
export function notices({ sources, tools, emscripten }) {
  const { flatbuffers, rapidjson, emscripten: toolchain } = pins.shipped;
  const copyrightOf = ({ package: name }) =>
    partOf(readFileSync(join(tools, 'share/doc', name, 'copyright'), 'utf8'), isHeader);
  return [
    ...Object.entries(sources).map(([name, folder]) => section(name, readFileSync(join(folder, 'LICENSE'), 'utf8'))),
    section('flatbuffers', copyrightOf(flatbuffers)),
    section('rapidjson', copyrightOf(rapidjson)),
    section(`emscripten, with ${Object.keys(toolchain.parts).join(', ')}`, emscriptenLicences(emscripten)),
  ].join('\n\n');
}

/** Of the JavaScript, for the folders of the packages that are bundled, by name. */
export function bundledNotices(packages) {
  const licence = (name) => readFileSync(join(root, 'licences', `${name}.txt`), 'utf8');
  const apache = readFileSync(join(root, 'LICENSE'), 'utf8');
  return [
    ...Object.entries(packages).map(([name, folder]) => {
      const path = ['LICENSE', 'license'].map((file) => join(folder, file)).find(existsSync);
      return section(name, readFileSync(path, 'utf8'));
    }),
    section('WordNet', licence('WordNet')),
    section('timm', `${licence('timm')}\n${apache}`),
  ].join('\n\n');
}
