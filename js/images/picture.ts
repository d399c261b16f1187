// An image as the thread that runs models takes it over from the caller's.

import { WimmError } from '../errors.js';

/** Interleaved 8-bit samples. */
export interface PixelImage {
  data: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
  channels: number;
}

/** The path or the bytes of an image file, which only Node has. */
export interface ImageFile {
  file: string | Uint8Array | Blob;
}

/** Everything here can be posted to a worker. Bitmaps and frames are wimm's own, and closed once they are read. */
export type Picture = PixelImage | ImageFile | Blob | ImageBitmap | VideoFrame;

/** Pixels that an image may have. */
const maxPixels = 100_000_000;

/** Errors: input_shape for a side of 0, limit_exceeded. */
export function checkSize(width: number, height: number): void {
  if (width < 1 || height < 1) throw new WimmError('ERR_INPUT_SHAPE', `an image of ${width} × ${height} has no pixels`);
  if (width * height <= maxPixels) return;
  throw new WimmError('ERR_LIMIT_EXCEEDED', `an image of ${width} × ${height} has more than ${maxPixels} pixels`);
}

/** What of a picture has to be handed over, and not copied. */
export function transferOf(picture: Picture): Transferable[] {
  if ('data' in picture) return [picture.data.buffer];
  return 'close' in picture ? [picture] : [];
}

/** Closes a bitmap or a frame; one that has been handed over, or closed, is left as it is. */
export function release(picture: Picture): void {
  if ('close' in picture) picture.close();
}

/** The error of an image that is there, but cannot be read. */
export function unreadable(cause: unknown): WimmError {
  const { name, message } = cause as Error;
  const hint =
    name === 'SecurityError' || name === 'DataCloneError'
      ? '; an image of another origin needs crossOrigin = "anonymous" on its element, and CORS headers from its server'
      : '';
  return new WimmError('ERR_IMAGE_DECODE', `the image's pixels cannot be read: ${message}${hint}`, { cause });
}
