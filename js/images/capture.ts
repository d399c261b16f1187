// Takes an image over from the caller, as it is at the time of the call. Pixels are decoded and drawn where models run.

import { WimmError } from '../errors.js';
import { describe, invalidArgument } from '../options.js';
import { isNode } from '../platform.js';
import type { ImageSource, RawImage } from '../types.js';
import { checkSize, type ImageFile, type Picture, type PixelImage, unreadable } from './picture.js';

/** Samples as they are stored: no profile applied, colours not multiplied by alpha. */
export const asStored: ImageBitmapOptions = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };

const drawable = [
  'ImageBitmap',
  'HTMLImageElement',
  'HTMLCanvasElement',
  'HTMLVideoElement',
  'OffscreenCanvas',
  'VideoFrame',
];

/** Errors: invalid_argument, image_decode, input_shape, input_dtype, input_detached, limit_exceeded. */
export async function capture(image: ImageSource): Promise<Picture> {
  try {
    if (isInstance('ImageData', image)) return copyPixels(image, 4);
    if (isRaw(image)) return copyPixels(image, image.channels);
    if (isNode && isEncoded(image)) return await fileOf(image);
    if (isInstance('Blob', image)) return image;
    if (image instanceof Uint8Array || image instanceof ArrayBuffer)
      return new Blob([image as Uint8Array<ArrayBuffer>]);
    if (isInstance('HTMLImageElement', image)) return await captureElement(image);
    if (isInstance('HTMLVideoElement', image)) return await captureVideo(image);
    if (isInstance('VideoFrame', image)) return captureFrame(image);
    if (isInstance('ImageBitmap', image) && image.width === 0)
      throw unreadable(new DOMException('the ImageBitmap is closed', 'InvalidStateError'));
    for (const name of ['ImageBitmap', 'HTMLCanvasElement', 'OffscreenCanvas'] as const) {
      if (isInstance(name, image)) return await snapshot(image, image.width, image.height);
    }
  } catch (error) {
    throw error instanceof WimmError ? error : invalidArgument('the image cannot be read', error);
  }
  const wanted = isNode
    ? 'a path, a file: URL, the bytes of an image file, a Blob or { data, width, height, channels }'
    : `one of ${drawable.join(', ')}, ImageData, Blob or { data, width, height, channels }`;
  throw new WimmError('ERR_INVALID_ARGUMENT', `the image must be ${wanted}, got ${describe(image)}`);
}

type Classes = typeof globalThis;

/** Whether `value` is of a class that only some platforms have. */
function isInstance<Name extends keyof Classes>(
  name: Name,
  value: unknown,
): value is Classes[Name] extends { prototype: infer Instance } ? Instance : never {
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

async function fileOf(image: string | URL | Blob | Uint8Array | ArrayBuffer): Promise<ImageFile> {
  if (image instanceof ArrayBuffer) return { file: new Uint8Array(image) };
  const isAddress = image instanceof URL || (typeof image === 'string' && image.startsWith('file:'));
  return { file: isAddress ? process.getBuiltinModule('url').fileURLToPath(image) : image };
}

function isRaw(image: ImageSource): image is RawImage {
  return typeof image === 'object' && image !== null && Object.hasOwn(image, 'data') && Object.hasOwn(image, 'width');
}

function copyPixels({ data, width, height }: Omit<RawImage, 'channels'>, channels: number): PixelImage {
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    const message = `the image's data must be a Uint8Array, got ${describe(data)}; samples of other types go to forward, as a tensor`;
    throw new WimmError('ERR_INPUT_DTYPE', message);
  }
  for (const [name, value] of Object.entries({ width, height, channels })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new WimmError('ERR_INPUT_SHAPE', `the image's ${name} must be a positive integer, got ${describe(value)}`);
    }
  }
  checkSize(width, height);
  if (data.length === 0)
    throw new WimmError('ERR_INPUT_DETACHED', "the image's data is empty: its buffer has been transferred");
  if (data.length !== width * height * channels) {
    const expected = `${width} × ${height} × ${channels} = ${width * height * channels}`;
    throw new WimmError('ERR_INPUT_SHAPE', `the image's data must have ${expected} bytes, got ${data.length}`);
  }
  return { data: new Uint8Array(data), width, height, channels };
}

/** A bitmap of what the source shows now. */
async function snapshot(source: ImageBitmapSource, width: number, height: number): Promise<ImageBitmap> {
  checkSize(width, height);
  try {
    return await createImageBitmap(source, asStored);
  } catch (cause) {
    throw unreadable(cause);
  }
}

/** An image that still loads is waited for. */
async function captureElement(image: HTMLImageElement): Promise<ImageBitmap> {
  if (!image.complete || image.naturalWidth === 0) {
    await image.decode().catch((cause: unknown) => {
      throw unreadable(cause);
    });
  }
  return snapshot(image, image.naturalWidth, image.naturalHeight);
}

/** The frame that shows: by reference where the platform can, since a bitmap is a copy that this thread has to make. */
async function captureVideo(video: HTMLVideoElement): Promise<ImageBitmap | VideoFrame> {
  if (video.readyState < video.HAVE_CURRENT_DATA)
    throw unreadable(new DOMException('the video has no frame yet: await its "loadeddata"', 'InvalidStateError'));
  if (typeof VideoFrame !== 'function') return snapshot(video, video.videoWidth, video.videoHeight);
  checkSize(video.videoWidth, video.videoHeight);
  try {
    return new VideoFrame(video);
  } catch (cause) {
    throw unreadable(cause);
  }
}

function captureFrame(frame: VideoFrame): VideoFrame {
  try {
    const copy = frame.clone();
    checkSize(copy.displayWidth, copy.displayHeight);
    return copy;
  } catch (cause) {
    throw cause instanceof WimmError ? cause : unreadable(cause);
  }
}
