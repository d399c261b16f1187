// ESLint's rules for the TypeScript sources, the build scripts and the tests.
import js from '@eslint/js';
import typescript from 'typescript-eslint';

export default typescript.config(
  { ignores: ['build/', 'dist/', 'node_modules/'] },
  js.configs.recommended,
  {
    files: ['js/**/*.ts'],
    extends: typescript.configs.recommendedTypeChecked,
    languageOptions: { parserOptions: { projectService: true } },
  },
  {
    files: ['**/*.mjs', '*.js'],
    languageOptions: {
      globals: Object.fromEntries(
        ['AbortController', 'Blob', 'Buffer', 'console', 'performance', 'process', 'Response', 'setTimeout', 'structuredClone', 'URL', 'fetch', 'document', 'window'].map(
          (name) => [name, 'readonly'],
        ),
      ),
    },
  },
);
