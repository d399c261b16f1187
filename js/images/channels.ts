// Gives an image the number of channels that a model takes.

import { WimmError } from '../errors.js';
import type { PixelImage } from './picture.js';

/** a / 255, rounded, as PIL computes it. */
function over255(a: number): number {
  return (((a + 128) >> 8) + a + 128) >> 8;
}

/** ITU-R 601 luma, rounded as PIL's mode 'L'. */
function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/**
 * The image with `channels` channels. One to four channels are grey, grey and alpha, RGB, and RGBA; they become grey or
 * RGB, composed onto white, or RGBA, in a buffer that `allocate` gives. Errors: input_shape for all other conversions.
 */
export function toChannels(
  image: PixelImage,
  channels: number,
  allocate: (length: number) => Uint8Array<ArrayBuffer>,
): PixelImage {
  if (image.channels === channels) return image;
  if (image.channels > 4 || ![1, 3, 4].includes(channels)) {
    const message = `the model takes ${channels} channels, but the image has ${image.channels}; pass { data, width, height, channels: ${channels} }`;
    throw new WimmError('ERR_INPUT_SHAPE', message);
  }
  const { data, width, height } = image;
  const [greenAt, blueAt] = image.channels < 3 ? [0, 0] : [1, 2];
  const alphaAt = image.channels % 2 === 0 ? image.channels - 1 : undefined;
  const result = allocate(width * height * channels);
  for (let from = 0, to = 0; to < result.length; from += image.channels, to += channels) {
    const alpha = alphaAt === undefined ? 255 : data[from + alphaAt];
    let [red, green, blue] = [data[from], data[from + greenAt], data[from + blueAt]];
    if (channels !== 4 && alpha < 255) {
      const white = 255 * (255 - alpha);
      red = over255(red * alpha + white);
      green = over255(green * alpha + white);
      blue = over255(blue * alpha + white);
    }
    result[to] = channels === 1 ? luma(red, green, blue) : red;
    if (channels === 1) continue;
    result[to + 1] = green;
    result[to + 2] = blue;
    if (channels === 4) result[to + 3] = alpha;
  }
  return { data: result, width, height, channels };
}
