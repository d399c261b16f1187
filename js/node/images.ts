// Decodes image files in Node, through the optional package sharp.

import type { Sharp, SharpOptions } from 'sharp';

import { WimmError } from '../errors.js';
import { checkSize, type ImageFile, type PixelImage } from '../images/picture.js';

type SharpModule = (input: string | Buffer, options: SharpOptions) => Sharp;

const { createRequire } = process.getBuiltinModule('module');

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

async function readInput(file: ImageFile['file']): Promise<string | Buffer> {
  if (typeof file === 'string') return file;
  if (file instanceof Blob) return Buffer.from(await file.arrayBuffer());
  return Buffer.from(file.buffer, file.byteOffset, file.byteLength);
}

/** The first frame, upright, 8 bits a sample. As with PIL, colours are taken as they are, whatever profile the file names. */
export async function decodeImage(file: ImageFile['file']): Promise<PixelImage> {
  const sharp = loadSharp();
  try {
    const image = sharp(await readInput(file), { limitInputPixels: false, ignoreIcc: true, failOn: 'error' });
    const { format, width, height, space } = await image.metadata();
    if (!formats.includes(format)) throw new Error(`images of format ${format} are not read`);
    checkSize(width, height);
    const isCmyk = space === 'cmyk';
    if (isCmyk) image.pipelineColourspace('cmyk');
    const { data, info } = await image
      .rotate()
      .toColourspace(isCmyk ? 'cmyk' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const samples = new Uint8Array(data.buffer, data.byteOffset, data.length);
    const pixels = { data: samples, width: info.width, height: info.height, channels: info.channels };
    return isCmyk ? cmykToRgb(pixels) : pixels;
  } catch (cause) {
    if (cause instanceof WimmError) throw cause;
    throw new WimmError('ERR_IMAGE_DECODE', `the image cannot be decoded: ${(cause as Error).message}`, { cause });
  }
}

/** Inks taken away from white, as PIL and browsers do where no profile is applied. */
function cmykToRgb({ data, width, height, channels }: PixelImage): PixelImage {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += channels, to += 3) {
    const light = 255 - data[from + 3];
    for (let c = 0; c < 3; c++) rgb[to + c] = Math.round(light - (data[from + c] * light) / 255);
  }
  return { data: rgb, width, height, channels: 3 };
}
