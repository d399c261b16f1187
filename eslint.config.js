// ESLint's rules for the TypeScript sources, the build scripts and the tests.
import js from '@eslint/js';
import typescript from 'typescript-eslint';

const platform = `AbortController AbortSignal atob Blob Buffer caches clearInterval clearTimeout close console
  createImageBitmap crypto DataTransfer document fetch File Image ImageData navigator OffscreenCanvas performance
  PerformanceObserver process ReadableStream Request Response setInterval setTimeout structuredClone TextDecoder
  TextEncoder URL URLSearchParams VideoFrame WebAssembly window Worker`;

export default typescript.config(
  { ignores: ['**/build/', '**/dist/', '**/node_modules/', '**/.cache/'] },
  js.configs.recommended,
  {
    files: ['js/**/*.ts', 'web/**/*.ts'],
    extends: [typescript.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // A method may be asynchronous because its interface is.
      '@typescript-eslint/require-await': 'off',
      // Checks and commands are tables of functions that use no `this`.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.mjs', '*.js', 'bench/**/*.js', 'examples/**/*.js'],
    languageOptions: { globals: Object.fromEntries(platform.split(/\s+/).map((name) => [name, 'readonly'])) },
  },
);
