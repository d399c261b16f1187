// Reads a picture's pixels, on the thread that runs models.

import { imageDimensionsFromData } from 'image-dimensions';

import { WimmError } from '../errors.js';
import { asStored } from './capture.js';
import { checkSize, type Picture, type PixelImage, release, unreadable } from './picture.js';

/** A buffer that is used again: garbage of this size is collected late. */
class Scratch {
  #spare: Uint8Array<ArrayBuffer> | undefined;

  take(length: number): Uint8Array<ArrayBuffer> {
    const buffer = this.#spare?.length === length ? this.#spare : new Uint8Array(length);
    this.#spare = undefined;
    return buffer;
  }

  give(buffer: Uint8Array<ArrayBuffer>): void {
    if (buffer.length <= 4 * maxKeptPixels) this.#spare = buffer;
  }
}

/** Pixels of a canvas or a buffer that is kept from image to image. */
const maxKeptPixels = 2 ** 22;

const frames = new Scratch();

/**
 * What `use` makes of the picture's pixels, which are there until it returns, for a model of `channels` channels. The picture
 * is closed. Errors: image_decode, image_unsupported, input_shape, limit_exceeded.
 */
export async function readPixels<T>(picture: Picture, channels: number, use: (image: PixelImage) => T): Promise<T> {
  try {
    const copied = await copyFrame(picture);
    try {
      return use(copied ?? (await decode(picture, channels)));
    } finally {
      if (copied) frames.give(copied.data);
    }
  } finally {
    release(picture);
  }
}

/** The pixels of a video's frame, where they need no canvas: it is opaque, and shown as it is stored. */
async function copyFrame(picture: Picture): Promise<PixelImage | undefined> {
  if (!('visibleRect' in picture) || !/^(I420|I422|I444|NV12|RGBX|BGRX)$/.test(picture.format ?? '')) return undefined;
  const { visibleRect, displayWidth: width, displayHeight: height } = picture;
  const { rotation = 0, flip = false } = picture as { rotation?: number; flip?: boolean };
  if (rotation || flip || visibleRect?.width !== width || visibleRect.height !== height) return undefined;
  const data = frames.take(4 * width * height);
  try {
    await picture.copyTo(data, { format: 'RGBA' });
    return { data, width, height, channels: 4 };
  } catch {
    return undefined; // the platform does not convert to RGBA; or it fails, and the canvas says why
  }
}

async function decode(picture: Picture, channels: number): Promise<PixelImage> {
  if ('data' in picture) return picture;
  if ('file' in picture) {
    const { decodeImage } = await import('../node/images.js');
    return decodeImage(picture.file);
  }
  if (!(picture instanceof Blob)) return draw(picture, channels);
  const bitmap = await decodeBlob(picture);
  try {
    return draw(bitmap, channels);
  } finally {
    bitmap.close();
  }
}

/** Bytes of a file in which its size is looked for: before it in a JPEG come its metadata. */
const headBytes = 2 ** 20;

/** What says that it is too large is not decoded. */
async function decodeBlob(blob: Blob): Promise<ImageBitmap> {
  try {
    const size = imageDimensionsFromData(new Uint8Array(await blob.slice(0, headBytes).arrayBuffer()));
    if (size) checkSize(size.width, size.height);
    return await createImageBitmap(blob, asStored);
  } catch (cause) {
    if (cause instanceof WimmError) throw cause;
    throw new WimmError('ERR_IMAGE_DECODE', `the image cannot be decoded: ${(cause as Error).message}`, { cause });
  }
}

/** Kept from frame to frame: to make one takes longer than to draw on it. */
let context: OffscreenCanvasRenderingContext2D | undefined;

function draw(source: ImageBitmap | VideoFrame, channels: number): PixelImage {
  const [width, height] =
    'displayWidth' in source ? [source.displayWidth, source.displayHeight] : [source.width, source.height];
  checkSize(width, height);
  try {
    context ??= new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
    const { canvas } = context;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.clearRect(0, 0, width, height);
    if (channels !== 4) {
      // Composed in one step, without the rounding of colours that were multiplied by alpha and are divided by it again.
      context.fillStyle = '#fff';
      context.fillRect(0, 0, width, height);
    }
    context.drawImage(source, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    return { data: new Uint8Array(data.buffer), width, height, channels: 4 };
  } catch (cause) {
    context = undefined; // one that another origin's image was drawn on stays unreadable
    throw unreadable(cause);
  } finally {
    if (width * height > maxKeptPixels) context = undefined;
  }
}
