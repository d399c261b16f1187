// What the models are given.

/** An image of numbers in [-1.7, 1.7), the same in every run, in both layouts. */
export function image([batch, channels, height, width]) {
  let state = 1;
  const nchw = Float32Array.from({ length: batch * channels * height * width }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 3.4 * (state / 2 ** 32) - 1.7;
  });
  const pixels = height * width;
  const at = (i) => nchw[(i % channels) * pixels + Math.floor(i / channels)];
  return { nchw, nhwc: Float32Array.from(nchw, (_, i) => at(i)) };
}
