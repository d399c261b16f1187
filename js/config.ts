// Defaults of the whole package, which `configure` sets.

import { type Check, cacheCheck, readOptions, simdCheck, threadsCheck, webAddress } from './options.js';
import type { Configuration, Simd, WeightsCache } from './types.js';

/** The address of a folder, with a slash at its end. */
const folder: Check<string> = {
  wanted: 'the address of a folder',
  read: (value) => {
    if (!(typeof value === 'string' || value instanceof URL)) return undefined;
    const base = (globalThis.location as Location | undefined)?.href;
    if (!URL.canParse(value, base)) return undefined;
    return new URL(value, base).href.replace(/\/*$/, '/');
  },
};

const checks = { wasm: folder, threads: threadsCheck, simd: simdCheck, hub: webAddress, cache: cacheCheck };

interface Settings {
  wasm: string | undefined;
  threads: number | undefined;
  simd: Simd | undefined;
  hub: string;
  cache: boolean | WeightsCache;
}

export const settings: Settings = {
  wasm: undefined,
  threads: undefined,
  simd: undefined,
  hub: 'https://huggingface.co',
  cache: true,
};

/** Sets defaults for the calls that follow; what is not named stays. Errors: `ERR_INVALID_ARGUMENT`. */
export function configure(configuration: Configuration): void {
  for (const [name, value] of Object.entries(readOptions('configure', configuration, checks))) {
    if (value !== undefined) Object.assign(settings, { [name]: value });
  }
}
