// Reading options: own properties only, each checked, with errors that name the option.

import { WimmError, quote } from './errors.js';
import type { CreateModelOptions, LoadOptions } from './types.js';

/** What is wanted of a value, in words, and the value if it is that (perhaps normalised), or undefined. */
export interface Check<T> {
  wanted: string;
  read(value: unknown): T | undefined;
}

/** A check for every option; its results are what `readOptions` gives. */
type Checks = Record<string, Check<unknown>>;
type Checked<C extends Checks> = { [K in keyof C]: C[K] extends Check<infer T> ? T | undefined : never };

/** A value as it may stand in a message. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

export function invalidArgument(message: string, cause?: unknown): WimmError {
  return new WimmError('ERR_INVALID_ARGUMENT', message, { cause });
}

/** `value` if it passes, or else an error that says what `name` must be. */
export function check<T>(name: string, value: unknown, { wanted, read }: Check<T>): T {
  const result = read(value);
  if (result === undefined) throw invalidArgument(`${name} must be ${wanted}, got ${describe(value)}`);
  return result;
}

/** The options of a call. Those not given, or given as undefined, are undefined. */
export function readOptions<C extends Checks>(call: string, options: unknown, checks: C): Checked<C> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalidArgument(`${call}: options must be an object, got ${describe(options)}`);
  }
  let given: [string, unknown][];
  try {
    given = Object.entries(options);
  } catch (cause) {
    throw invalidArgument(`${call}: options cannot be read`, cause);
  }
  const result: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of given) {
    if (!Object.hasOwn(checks, name)) {
      throw invalidArgument(`${call}: unknown option ${quote(name)}; known are ${Object.keys(checks).join(', ')}`);
    }
    if (value !== undefined) result[name] = check(`${call}: option ${name}`, value, checks[name]);
  }
  return result as Checked<C>;
}

export const boolean: Check<boolean> = {
  wanted: 'true or false',
  read: (value) => (typeof value === 'boolean' ? value : undefined),
};

export function integer(min: number, max: number): Check<number> {
  return {
    wanted: `an integer from ${min} to ${max}`,
    read: (value) =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max ? value : undefined,
  };
}

function oneOf<const T extends string>(...values: T[]): Check<T> {
  return {
    wanted: `one of ${values.map((value) => `'${value}'`).join(', ')}`,
    read: (value) => values.find((known) => known === value),
  };
}

/** An object (or function) that has methods of these names. */
function withMethods<T>(wanted: string, ...names: string[]): Check<T> {
  return {
    wanted,
    read: (value) =>
      typeof value === 'object' &&
      value !== null &&
      names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
        ? (value as T)
        : undefined,
  };
}

function callback<T>(): Check<T> {
  return { wanted: 'a function', read: (value) => (typeof value === 'function' ? (value as T) : undefined) };
}

const integers: Check<number[]> = {
  wanted: 'an array of integers',
  read: (value) =>
    Array.isArray(value) &&
    value.length <= 64 &&
    value.every((level) => Number.isInteger(level) && Math.abs(level as number) <= 64)
      ? [...(value as number[])]
      : undefined,
};

const side = integer(1, 65_536);
const imgSize: Check<[number, number]> = {
  wanted: 'an integer from 1 to 65536, or [height, width]',
  read: (value) => {
    const [height, width, ...rest] = (Array.isArray(value) ? value : [value, value]) as unknown[];
    return rest.length === 0 && side.read(height) && side.read(width) ? [height as number, width as number] : undefined;
  },
};

/** An http(s) address, without a slash at its end. */
export const webAddress: Check<string> = {
  wanted: 'an http or https address',
  read: (value) => {
    if (!(typeof value === 'string' || value instanceof URL)) return undefined;
    const url = URL.canParse(value) ? new URL(value) : undefined;
    return url && /^https?:$/.test(url.protocol) && !url.username ? url.href.replace(/\/+$/, '') : undefined;
  },
};

/** The digest in hexadecimal. */
const integrity: Check<string> = {
  wanted: "'sha256-' and a digest in base64 or hexadecimal",
  read: (value) => {
    if (typeof value !== 'string') return undefined;
    const [, hex, base64] = /^sha256-(?:([0-9a-fA-F]{64})|([A-Za-z0-9+/]{43}=))$/.exec(value) ?? [];
    if (hex) return hex.toLowerCase();
    return base64 && Array.from(atob(base64), (c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join('');
  },
};

export const cacheCheck: Check<NonNullable<LoadOptions['cache']>> = {
  wanted: 'true, false or an object with match and put',
  read: (value) =>
    boolean.read(value) ??
    withMethods<Exclude<LoadOptions['cache'], boolean | undefined>>('', 'match', 'put').read(value),
};

const text: Check<string> = {
  wanted: 'a string',
  read: (value) => (typeof value === 'string' ? value : undefined),
};

export const threadsCheck = integer(1, 16);
export const simdCheck = oneOf('simd', 'relaxed-simd');

export const callChecks = {
  signal: withMethods<AbortSignal>('an AbortSignal', 'addEventListener', 'removeEventListener'),
};

export const loadChecks = {
  ...callChecks,
  cache: cacheCheck,
  onProgress: callback<NonNullable<LoadOptions['onProgress']>>(),
  fetch: callback<NonNullable<LoadOptions['fetch']>>(),
  integrity,
  maxBytes: integer(1, Number.MAX_SAFE_INTEGER),
  idleTimeout: integer(1, 2 ** 31 - 1),
  key: text,
  checkFinite: boolean,
};

/** Anything: what weights may be is for the loader to say. */
const any: Check<NonNullable<CreateModelOptions['weights']>> = {
  wanted: 'given',
  read: (value) => (value === null ? undefined : (value as NonNullable<CreateModelOptions['weights']>)),
};

const dtype: Check<'float32' | 'float16' | 'int8'> = {
  wanted: "'float32', 'float16' or 'int8'",
  read: (value) => (value === 'float32' || value === 'float16' || value === 'int8' ? value : undefined),
};

export const createModelChecks = {
  ...loadChecks,
  pretrained: boolean,
  weights: any,
  hub: webAddress,
  inChans: integer(1, 65_536),
  numClasses: integer(0, 1_000_000),
  globalPool: oneOf('avg', 'max', 'avgmax', 'catavgmax', 'token', 'map', 'prr', ''),
  dtype,
  threads: threadsCheck,
  simd: simdCheck,
  worker: boolean,
  imgSize,
  featuresOnly: boolean,
  outIndices: integers,
  exact: boolean,
  strict: boolean,
  seed: integer(0, Number.MAX_SAFE_INTEGER),
};
