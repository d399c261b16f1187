// Turns what a caller has of an image into interleaved 8-bit pixels with a model's number of channels.

import type { PixelImage } from './engine/engine.js';
import { WimmError } from './errors.js';
import { describe, invalidArgument } from './options.js';
import { isNode } from './platform.js';
import type { ImageSource, RawImage } from './types.js';

/** Pixels that an image may have. */
const maxPixels = 100_000_000;

/** The image's pixels, of its own or the platform's number of channels. Errors: image_decode, image_unsupported, input_shape. */
async function readPixels(image: ImageSource): Promise<PixelImage> {
  if (isInstance('ImageData', image)) return rawPixels(image as ImageData, 4);
  if (isRaw(image)) return rawPixels(image, image.channels);
  if (isNode && isEncoded(image)) {
    const { decodeImage } = await import('./node/images.js');
    return decodeImage(image);
  }
  if (isInstance('Blob', image)) return decodeBlob(image as Blob);
  if (image instanceof Uint8Array || image instanceof ArrayBuffer)
    return decodeBlob(new Blob([image as Uint8Array<ArrayBuffer>]));
  if (drawable.some((name) => isInstance(name, image))) return drawPixels(image as CanvasImageSource);
  const wanted = isNode
    ? 'a path, a file: URL, the bytes of an image file, a Blob or { data, width, height, channels }'
    : `one of ${drawable.join(', ')}, ImageData, Blob or { data, width, height, channels }`;
  throw new WimmError('ERR_INVALID_ARGUMENT', `the image must be ${wanted}, got ${describe(image)}`);
}

const drawable = [
  'ImageBitmap',
  'HTMLImageElement',
  'HTMLCanvasElement',
  'HTMLVideoElement',
  'OffscreenCanvas',
  'VideoFrame',
];

/** Whether `value` is of a class that only some platforms have. */
function isInstance(name: string, value: unknown): boolean {
  const Class = (globalThis as Record<string, unknown>)[name];
  return typeof Class === 'function' && value instanceof Class;
}

function isEncoded(image: ImageSource): image is string | URL | Blob | Uint8Array | ArrayBuffer {
  return (
    typeof image === 'string' ||
    image instanceof URL ||
    image instanceof Blob ||
    image instanceof Uint8Array ||
    image instanceof ArrayBuffer
  );
}

function isRaw(image: ImageSource): image is RawImage {
  return typeof image === 'object' && image !== null && Object.hasOwn(image, 'data') && Object.hasOwn(image, 'width');
}

function rawPixels({ data, width, height }: Omit<RawImage, 'channels'>, channels: number): PixelImage {
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw new WimmError('ERR_INPUT_DTYPE', `the image's data must be a Uint8Array, got ${describe(data)}`);
  }
  for (const [name, value] of Object.entries({ width, height, channels })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new WimmError('ERR_INPUT_SHAPE', `the image's ${name} must be a positive integer, got ${describe(value)}`);
    }
  }
  checkPixels(width, height);
  if (data.length === 0)
    throw new WimmError('ERR_INPUT_DETACHED', "the image's data is empty: its buffer has been transferred");
  if (data.length !== width * height * channels) {
    const expected = `${width} × ${height} × ${channels} = ${width * height * channels}`;
    throw new WimmError('ERR_INPUT_SHAPE', `the image's data must have ${expected} bytes, got ${data.length}`);
  }
  return { data: new Uint8Array(data), width, height, channels };
}

export function checkPixels(width: number, height: number): void {
  if (width * height <= maxPixels) return;
  throw new WimmError('ERR_LIMIT_EXCEEDED', `an image of ${width} × ${height} has more than ${maxPixels} pixels`);
}

/** As PIL does, colours are taken as they are, whatever profile the file names. */
async function decodeBlob(blob: Blob): Promise<PixelImage> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (cause) {
    throw new WimmError('ERR_IMAGE_DECODE', `the image cannot be decoded: ${(cause as Error).message}`, { cause });
  }
  try {
    return drawPixels(bitmap);
  } finally {
    bitmap.close();
  }
}

function drawPixels(source: CanvasImageSource): PixelImage {
  const { width, height } = naturalSize(source as unknown as Record<string, number>);
  if (!width || !height)
    throw new WimmError('ERR_IMAGE_DECODE', 'the image has no pixels: it is not loaded yet, or closed');
  checkPixels(width, height);
  try {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { willReadFrequently: true })!;
    context.drawImage(source, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return { data: new Uint8Array(data.buffer), width, height, channels: 4 };
  } catch (cause) {
    throw new WimmError('ERR_IMAGE_DECODE', `the image's pixels cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** An element's own size, not that of its layout. */
function naturalSize(source: Record<string, number>): { width: number; height: number } {
  return {
    width: source.naturalWidth ?? source.videoWidth ?? source.displayWidth ?? source.width,
    height: source.naturalHeight ?? source.videoHeight ?? source.displayHeight ?? source.height,
  };
}

/** One channel from each pixel's first three, or that one: ITU-R 601 luma, rounded as PIL's mode 'L'. */
function toGrey({ data, width, height, channels }: PixelImage): PixelImage {
  const grey = new Uint8Array(width * height);
  for (let pixel = 0, i = 0; pixel < grey.length; pixel++, i += channels) {
    grey[pixel] = channels < 3 ? data[i] : (data[i] * 19595 + data[i + 1] * 38470 + data[i + 2] * 7471 + 0x8000) >> 16;
  }
  return { data: grey, width, height, channels: 1 };
}

/** Three channels: grey repeated, alpha dropped as PIL's convert('RGB') does. */
function toRgb({ data, width, height, channels }: PixelImage): PixelImage {
  const rgb = new Uint8Array(width * height * 3);
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  for (let to = 0, from = 0; to < rgb.length; to += 3, from += channels) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + green];
    rgb[to + 2] = data[from + blue];
  }
  return { data: rgb, width, height, channels: 3 };
}

/** The image with `channels` channels. Errors: those of reading it; input_shape where it has others. */
export async function toPixels(image: ImageSource, channels: number): Promise<PixelImage> {
  let pixels: PixelImage;
  try {
    pixels = await readPixels(image);
  } catch (error) {
    throw error instanceof WimmError ? error : invalidArgument('the image cannot be read', error);
  }
  if (pixels.channels === channels) return pixels;
  if (pixels.channels <= 4 && channels === 1) return toGrey(pixels);
  if (pixels.channels <= 4 && channels === 3) return toRgb(pixels);
  const message = `the model takes ${channels} channels, but the image has ${pixels.channels}; pass { data, width, height, channels: ${channels} }`;
  throw new WimmError('ERR_INPUT_SHAPE', message);
}
