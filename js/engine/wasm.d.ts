// The modules that Emscripten writes beside the package's own.

declare module '*.mjs' {
  const create: import('./native.js').CreateModule;
  export default create;
}
