// Imports TypeScript sources of js/ without a build, bundled in memory into one module.
import { build } from 'esbuild';

export async function importSource(...paths) {
  const contents = paths.map((path) => `export * from './${path}';`).join('\n');
  const resolveDir = new URL('../../js', import.meta.url).pathname;
  const { outputFiles } = await build({ stdin: { contents, resolveDir }, bundle: true, format: 'esm', write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}
