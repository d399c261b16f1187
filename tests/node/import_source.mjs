// Imports TypeScript sources of js/ without a build, bundled in memory into one module.
import { build } from 'esbuild';

/** `stubs`: texts that take the place of files, by the ends of the paths that import them. */
export async function importSource(paths, stubs = {}) {
  const contents = paths.map((path) => `export * from './${path}';`).join('\n');
  const resolveDir = new URL('../../js', import.meta.url).pathname;
  const plugin = {
    name: 'stubs',
    setup({ onResolve, onLoad }) {
      for (const [file, text] of Object.entries(stubs)) {
        onResolve({ filter: new RegExp(`/${file}$`) }, () => ({ path: file, namespace: 'stub' }));
        onLoad({ filter: new RegExp(`^${file}$`), namespace: 'stub' }, () => ({
          contents: text,
          resolveDir,
          loader: 'ts',
        }));
      }
    },
  };
  const stdin = { contents, resolveDir };
  const { outputFiles } = await build({ stdin, plugins: [plugin], bundle: true, format: 'esm', write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}
