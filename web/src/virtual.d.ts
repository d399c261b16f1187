/** Numbers of parameters by architecture. */
declare module 'virtual:parameter-counts' {
  const counts: Record<string, number>;
  export default counts;
}
