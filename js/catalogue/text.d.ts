// JSON is imported as text (`with { type: 'text' }`), and parsed when it is first needed.
declare module '*.json' {
  const text: string;
  export default text;
}
