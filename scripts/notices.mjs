// The licences of the third-party code that the WebAssembly modules contain, as one text.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

// `sources` as setUp returns it, with the prefix of the tools and the folder of Emscripten.
export function notices({ sources, tools, emscripten }) {
  const files = Object.entries(sources).map(([name, folder]) => [name, [join(folder, 'LICENSE')]]);
  for (const [name, debianPackage] of [
    ['flatbuffers', 'libflatbuffers-dev'],
    ['RapidJSON', 'rapidjson-dev'],
  ]) {
    files.push([name, [join(tools, 'share/doc', debianPackage, 'copyright')]]);
  }
  // emsdk's Emscripten has its licence beside it, Debian's among the documentation.
  const places = [join(emscripten, 'LICENSE'), join(emscripten, '../doc/emscripten/copyright')];
  files.push(['Emscripten and its system libraries', places]);
  const texts = files.map(([name, candidates]) => {
    const path = candidates.find(existsSync);
    return path && `${name}\n${'='.repeat(name.length)}\n\n${readFileSync(path, 'utf8').trim()}\n`;
  });
  return texts.filter(Boolean).join('\n\n');
}
