// Beside index.html, the folder dist has all that a server needs.
export default {
  mode: 'production',
  context: import.meta.dirname,
  entry: './main.js',
  output: { path: `${import.meta.dirname}/dist`, filename: 'bundle.js', clean: true },
  performance: { hints: false },
};
