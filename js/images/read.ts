// Reads a picture's pixels, on the thread that runs models.

import { imageDimensionsFromData } from 'image-dimensions';

import { WimmError } from '../errors.js';
import { asStored } from './capture.js';
import { toChannels } from './channels.js';
import { checkSize, type Picture, type PixelImage, release, unreadable } from './picture.js';

/** The picture's pixels with `channels` channels; it is closed. Errors: image_decode, image_unsupported, input_shape, limit_exceeded. */
export async function readPixels(picture: Picture, channels: number): Promise<PixelImage> {
  try {
    return toChannels(await decode(picture, channels), channels);
  } finally {
    release(picture);
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

/** Pixels of a canvas that is kept. */
const maxKeptPixels = 2 ** 22;

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
