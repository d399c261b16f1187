// Decodes image files in Node, through the optional package sharp.

import type { Sharp, SharpOptions } from 'sharp';

import type { PixelImage } from '../engine/engine.js';
import { WimmError } from '../errors.js';
import { checkPixels } from '../images.js';

type SharpModule = (input: string | Buffer, options: SharpOptions) => Sharp;

const { createRequire } = process.getBuiltinModule('module');
const { fileURLToPath } = process.getBuiltinModule('url');

const formats = ['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif'];

function loadSharp(): SharpModule {
  try {
    return createRequire(import.meta.url)('sharp') as SharpModule;
  } catch (cause) {
    const message =
      'image files are decoded by the package sharp, which is not installed: npm install sharp, or pass { data, width, height, channels }';
    throw new WimmError('ERR_IMAGE_UNSUPPORTED', message, { cause });
  }
}

async function readInput(image: string | URL | Blob | Uint8Array | ArrayBuffer): Promise<string | Buffer> {
  if (typeof image === 'string') return image.startsWith('file:') ? fileURLToPath(image) : image;
  if (image instanceof URL) return fileURLToPath(image);
  if (image instanceof Blob) return Buffer.from(await image.arrayBuffer());
  if (image instanceof ArrayBuffer) return Buffer.from(image);
  return Buffer.from(image.buffer, image.byteOffset, image.byteLength);
}

/**
 * The first frame, upright, 8 bits a sample. As with PIL, colours are taken as they are, whatever profile the file
 * names, and alpha is dropped.
 */
export async function decodeImage(image: string | URL | Blob | Uint8Array | ArrayBuffer): Promise<PixelImage> {
  const sharp = loadSharp();
  try {
    const file = sharp(await readInput(image), { limitInputPixels: false, ignoreIcc: true, failOn: 'error' });
    const { format, width, height } = await file.metadata();
    if (!formats.includes(format))
      throw new WimmError('ERR_IMAGE_UNSUPPORTED', `images of format ${format} are not supported`);
    checkPixels(width, height);
    const { data, info } = await file
      .rotate()
      .removeAlpha()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return {
      data: new Uint8Array(data.buffer, data.byteOffset, data.length),
      width: info.width,
      height: info.height,
      channels: info.channels,
    };
  } catch (cause) {
    if (cause instanceof WimmError) throw cause;
    throw new WimmError('ERR_IMAGE_DECODE', `the image cannot be decoded: ${(cause as Error).message}`, { cause });
  }
}
