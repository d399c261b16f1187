// Obtains everything slow that a build needs: tools, third-party sources, and third-party libraries for each variant.
//   node scripts/setup.mjs [VARIANT…]        default: every variant
// All of it lies in a cache outside the checkout ($WIMM_CACHE), each item in a folder named by a hash of what defines it,
// so a second run only looks. What a variant's CMake needs to know is written to build/setup/<variant>.cmake.
//
// Everything comes from Debian's signed packages, on any system with apt. Elsewhere, or to use one's own:
//   emcc on PATH, 3.1.60 or newer, is taken as it is;
//   WIMM_TOOLS names a prefix with bin/flatc (23.5.26) and the headers of flatbuffers, RapidJSON and doctest in include/;
//   WIMM_XNNPACK_SOURCE, WIMM_PTHREADPOOL_SOURCE, … name folders with the sources that cmake/third-party.json lists.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

import { cacheFolder, cached } from './cache.mjs';
import { UserError, findProgram, outputOf, root, run, runMain } from './process.mjs';

const pins = JSON.parse(readFileSync(join(root, 'cmake/third-party.json'), 'utf8'));
const pinned = (name) => pins.shipped[name].version;
const oldestEmscripten = [3, 1, 60];

// How the libraries of each variant are built, or the name of the variant whose libraries it shares: the sanitizers watch
// our code alone, but for that of threads, which has to see how the libraries' threads wait for each other. Variants that
// read weight files and do nothing else (null) need zlib alone, which they compile.
const watchThreads = '-g1 -fno-omit-frame-pointer -fsanitize=thread';
const libraryOptions = {
  native: { WIMM_THREADS: 'ON' },
  'native-tsan': {
    WIMM_THREADS: 'ON',
    CMAKE_C_COMPILER: 'clang',
    CMAKE_CXX_COMPILER: 'clang++',
    CMAKE_C_FLAGS: watchThreads,
    CMAKE_CXX_FLAGS: watchThreads,
  },
  'native-asan': 'native',
  'fuzz-models': 'native',
  fuzz: null,
  'asan-32': null,
  coverage: null,
  'wasm-simd': { WIMM_RELAXED_SIMD: 'OFF', WIMM_THREADS: 'OFF' },
  'wasm-simd-threads': { WIMM_RELAXED_SIMD: 'OFF', WIMM_THREADS: 'ON' },
  'wasm-relaxed': { WIMM_RELAXED_SIMD: 'ON', WIMM_THREADS: 'OFF' },
  'wasm-relaxed-threads': { WIMM_RELAXED_SIMD: 'ON', WIMM_THREADS: 'ON' },
};
const variants = Object.keys(libraryOptions);
const isWasm = (variant) => variant.startsWith('wasm-');

const debianEnvironment = { WIMM_CACHE: cacheFolder, WIMM_SUITE: pins.suite };
const contents = (...paths) => paths.map((path) => readFileSync(join(root, path), 'utf8'));
const debianScript = (folder, ...args) =>
  run(join(root, 'scripts/debian.sh'), args, { log: `${folder}.log`, env: debianEnvironment });

// flatc, and the headers of flatbuffers, RapidJSON and doctest, as a prefix with bin/ and include/.
async function tools() {
  if (process.env.WIMM_TOOLS) return process.env.WIMM_TOOLS;
  const packages = Object.keys(pins.packages);
  const folder = await cached('tools', [...contents('scripts/debian.sh'), pins.suite, ...packages], (folder) =>
    debianScript(folder, 'packages', folder, ...packages),
  );
  checkVersion('flatbuffers', versionOf(join(folder, 'usr/bin/flatc')));
  const header = readFileSync(join(folder, 'usr/include/rapidjson/rapidjson.h'), 'utf8');
  const parts = ['MAJOR', 'MINOR', 'PATCH'].map((part) => header.match(`RAPIDJSON_${part}_VERSION (\\d+)`)[1]);
  checkVersion('rapidjson', parts.join('.'));
  return join(folder, 'usr');
}

const versionOf = (program) => outputOf(program, ['--version']).match(/\d+\.\d+\.\d+/)[0];

// A release of Debian may come to have another version than the one that the bill of materials names.
function checkVersion(name, version) {
  if (version === pinned(name)) return;
  throw new UserError(`Debian ${pins.suite} has ${name} ${version}; cmake/third-party.json pins ${pinned(name)}`);
}

// The folder that holds emcc: that of PATH where it is new enough, else one that we set up.
async function emscripten() {
  const onPath = findProgram('emcc');
  if (onPath) {
    const version = versionOf(onPath);
    const parts = version.split('.').map(Number);
    const difference = parts.map((part, i) => part - oldestEmscripten[i]).find((part) => part !== 0) ?? 0;
    if (difference >= 0) {
      if (version !== pinned('emscripten'))
        console.log(`emcc ${version} on PATH is used: the bill of materials names ${pinned('emscripten')}`);
      return dirname(realpathSync(onPath));
    }
    console.log(`emcc ${version} on PATH is older than ${oldestEmscripten.join('.')}: a private one is used`);
  }
  const inputs = [...contents('scripts/debian.sh', 'scripts/emscripten.sh'), pins.suite];
  const folder = await cached('emscripten', inputs, (folder) =>
    run(join(root, 'scripts/emscripten.sh'), [folder], { log: `${folder}.log`, env: debianEnvironment }),
  );
  const emcc = join(folder, 'usr/share/emscripten/emcc');
  checkVersion('emscripten', versionOf(emcc));
  return dirname(emcc);
}

// The unpacked source of a pinned library, or the folder that WIMM_<NAME>_SOURCE names.
async function source(name) {
  const named = process.env[`WIMM_${name.toUpperCase()}_SOURCE`];
  if (named) return named;
  const { version, sha256 } = pins.sources[name];
  return cached(name, [version, sha256], async (folder) => {
    await debianScript(folder, 'sources', folder, name);
    const [tarball] = readdirSync(folder);
    const path = join(folder, tarball);
    const actual = createHash('sha256').update(readFileSync(path)).digest('hex');
    if (actual !== sha256) throw new UserError(`${tarball} has sha256 ${actual}; ${sha256} is pinned`);
    const roots = new Set(
      outputOf('tar', ['-tf', path])
        .trim()
        .split('\n')
        .map((entry) => entry.split('/')[0]),
    );
    execFileSync('tar', ['-xf', path, '-C', folder, ...(roots.size === 1 ? ['--strip-components=1'] : [])]);
    rmSync(path);
  });
}

// The third-party static libraries of a variant, with their headers.
async function libraries(variant, sources, emscriptenFolder) {
  if (typeof libraryOptions[variant] === 'string') return libraries(libraryOptions[variant], sources, emscriptenFolder);
  const options = { ...libraryOptions[variant], ...sources, CMAKE_BUILD_TYPE: 'Release' };
  const compiler = emscriptenFolder
    ? join(emscriptenFolder, 'emcc')
    : (options.CMAKE_CXX_COMPILER ?? process.env.CXX ?? 'c++');
  if (emscriptenFolder) options.WIMM_EMSCRIPTEN = emscriptenFolder;
  const files = readdirSync(join(root, 'cmake/third-party'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
  const inputs = [...contents(...files, 'cmake/emscripten.cmake'), outputOf(compiler, ['--version']), options];
  return cached(`libraries-${variant}`, inputs, async (folder) => {
    const log = `${folder}.log`;
    const args = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
    if (emscriptenFolder) args.push(`-DCMAKE_TOOLCHAIN_FILE=${join(root, 'cmake/emscripten.cmake')}`);
    if (findProgram('ninja')) args.push('-G', 'Ninja');
    await run('cmake', ['-S', join(root, 'cmake/third-party'), '-B', folder, ...args], { log });
    await run('cmake', ['--build', folder, '--parallel', String(availableParallelism())], { log });
    rmSync(join(folder, 'CMakeFiles'), { recursive: true });
  });
}

function checkPrerequisites(wanted) {
  const needed = { cmake: 'cmake', python3: 'python3', tar: 'tar' };
  if (!wanted.every(isWasm)) needed[process.env.CXX ?? 'c++'] = 'g++';
  if (!findProgram('ninja')) needed.make = 'make (or ninja-build)';
  const missing = Object.keys(needed).filter((program) => !findProgram(program));
  if (missing.length === 0) return;
  const packages = missing.map((program) => needed[program]).join(' ');
  throw new UserError(`missing: ${missing.join(', ')}. On Debian or Ubuntu: apt install ${packages}`);
}

// Sets up the variants named, and writes what CMake needs to know of each to build/setup/<variant>.cmake.
// Returns the folders of the tools, the sources and Emscripten.
export async function setUp(wanted) {
  const unknown = wanted.filter((variant) => !variants.includes(variant));
  if (unknown.length) throw new UserError(`no variant ${unknown.join(', ')}; there are ${variants.join(', ')}`);
  checkPrerequisites(wanted);
  const folders = { tools: await tools(), sources: {} };
  for (const name of Object.keys(pins.sources)) folders.sources[name] = await source(name);
  if (wanted.some(isWasm)) folders.emscripten = await emscripten();
  mkdirSync(join(root, 'build/setup'), { recursive: true });
  for (const variant of wanted) {
    const compiler = isWasm(variant) ? folders.emscripten : undefined;
    const settings = {
      WIMM_TOOLS: folders.tools,
      ...(libraryOptions[variant]
        ? { WIMM_LIBRARIES: await libraries(variant, folders.sources, compiler) }
        : { WIMM_ZLIB_SOURCE: folders.sources.zlib }),
      ...(compiler && { WIMM_EMSCRIPTEN: compiler }),
    };
    const lines = Object.entries(settings).map(([name, value]) => `set(${name} "${value}")\n`);
    writeFileSync(join(root, `build/setup/${variant}.cmake`), lines.join(''));
  }
  return folders;
}

if (realpathSync(process.argv[1]) === import.meta.filename) {
  const wanted = process.argv.slice(2);
  runMain(() => setUp(wanted.length ? wanted : variants));
}
