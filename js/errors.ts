// The one error type of the package, and how text from outside enters a message.

/** The stable codes of every failure. */
export type ErrorCode =
  // Names and options
  | 'ERR_UNKNOWN_MODEL'
  | 'ERR_NO_PRETRAINED'
  | 'ERR_INVALID_ARGUMENT'
  // Files
  | 'ERR_FORMAT_UNKNOWN'
  | 'ERR_FORMAT_TRUNCATED'
  | 'ERR_FORMAT_CORRUPT'
  | 'ERR_FORMAT_UNSUPPORTED'
  | 'ERR_PICKLE_FORBIDDEN'
  | 'ERR_LIMIT_EXCEEDED'
  | 'ERR_INTEGRITY'
  | 'ERR_STATE_DICT_MISMATCH'
  | 'ERR_WEIGHTS_NONFINITE'
  // Input
  | 'ERR_INPUT_SHAPE'
  | 'ERR_INPUT_DTYPE'
  | 'ERR_INPUT_DETACHED'
  | 'ERR_IMAGE_DECODE'
  | 'ERR_IMAGE_UNSUPPORTED'
  // Network and cache
  | 'ERR_HTTP_STATUS'
  | 'ERR_NETWORK'
  | 'ERR_TIMEOUT'
  | 'ERR_ABORTED'
  | 'ERR_CACHE_QUOTA'
  | 'ERR_CACHE_CORRUPT'
  // Runtime
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_DISPOSED'
  | 'ERR_WORKER_CRASHED'
  | 'ERR_RUNTIME_CRASHED'
  | 'ERR_WASM_LOAD'
  | 'ERR_CSP'
  | 'ERR_ENV_NO_WASM'
  | 'ERR_ENV_NO_SIMD'
  | 'ERR_ENV_NO_THREADS';

/** What a `WimmError` may have beside its code and message. */
export interface WimmErrorOptions {
  /** Whether the same call may succeed later. Default false. */
  retryable?: boolean;
  /** The tensor that the failure is about. */
  tensor?: string;
  /** The byte offset in the file at which the failure was seen. */
  offset?: number;
  /** Facts for a program, of plain data: `nearest` names, `missing` tensors, the `status` of a response. */
  details?: Record<string, unknown>;
  /** What led to the failure, such as the reason of an `AbortSignal`. */
  cause?: unknown;
}

/** A `WimmError` as plain data: what `JSON.stringify`, `structuredClone` and `postMessage` make of it. */
export interface WimmErrorData extends WimmErrorOptions {
  /** 'WimmError', or 'AbortError' for `ERR_ABORTED`. */
  name: string;
  /** As the error's. */
  message: string;
  /** As the error's. */
  code: ErrorCode;
}

// structuredClone keeps nothing of a native error but its message, so a WimmError is an ordinary object that inherits
// from Error.prototype: `instanceof Error` holds, and its own fields are cloned.
const PlainError = function () {} as unknown as ErrorConstructor;
Object.defineProperty(PlainError, 'prototype', { value: Error.prototype });

/** Every failure of wimm. Its `name` is 'WimmError', or 'AbortError' for `ERR_ABORTED`. */
export class WimmError extends PlainError {
  static {
    Object.defineProperty(this, 'name', { value: 'WimmError' }); // which consoles show, and a minifier shortens
  }

  /** 'WimmError', or 'AbortError' for `ERR_ABORTED`. */
  override readonly name: string;
  /** What was wrong, and how to mend it. It holds no weights and no credentials. */
  override readonly message: string;
  /** Stable: for programs. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** The tensor that the failure is about. */
  declare readonly tensor?: string;
  /** The byte offset in the file at which the failure was seen. */
  declare readonly offset?: number;
  /** Facts for a program, of plain data: `nearest` names, `missing` tensors, the `status` of a response. */
  declare readonly details?: Record<string, unknown>;
  /** What led to the failure: the platform's own error, or the reason of an `AbortSignal`. */
  declare readonly cause?: unknown;
  /** Where it was made; of an error from a worker, where it arrived. */
  declare readonly stack?: string;

  /** For programs that report failures of their own in wimm's terms. */
  constructor(code: ErrorCode, message: string, { cause, ...options }: WimmErrorOptions = {}) {
    super();
    this.name = code === 'ERR_ABORTED' ? 'AbortError' : 'WimmError';
    this.message = message;
    this.code = code;
    this.retryable = options.retryable ?? false;
    if (options.tensor !== undefined) this.tensor = options.tensor;
    if (options.offset !== undefined) this.offset = options.offset;
    if (options.details !== undefined) this.details = options.details;
    // Not enumerable, as in a native error: a cause that cannot be cloned must not stop its error from being so.
    if (cause !== undefined) Object.defineProperty(this, 'cause', { value: cause, configurable: true, writable: true });
    const trace = new Error(message).stack?.replace(/^Error(?=:|\n|$)/, `${this.name} [${code}]`);
    Object.defineProperty(this, 'stack', { value: trace, configurable: true, writable: true });
  }

  /** All fields as plain data; of a cause, its name and message. */
  toJSON(): WimmErrorData {
    if (typeof this.cause === 'string' || this.cause === undefined) return { ...this, cause: this.cause };
    const { name, message } = Object(this.cause) as Partial<Error>;
    return { ...this, cause: { name, message } };
  }

  /** The error that `data` (a clone, or parsed JSON) was made from. */
  static from(data: WimmErrorData): WimmError {
    return data instanceof WimmError ? data : new WimmError(data.code, data.message, data);
  }
}

/** `text` as it may stand in a message: in double quotes, control characters escaped, cut at 200 characters. */
export function quote(text: string): string {
  const cut = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
