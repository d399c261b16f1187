// The types of the public interface.

/** A class of the platform's own, or `never` where the program's type libraries do not know it. */
type PlatformClass<Name extends string> = typeof globalThis extends { [K in Name]: { prototype: infer Instance } }
  ? Instance
  : never;

/** `fetch`, or something that does its work. */
export type Fetch = (
  url: string,
  init: { headers: Record<string, string>; signal: PlatformClass<'AbortSignal'> },
) => Promise<PlatformClass<'Response'>>;

/** A contiguous float32 tensor, its last dimension fastest. Images are [N, C, H, W]. */
export interface Tensor {
  data: Float32Array;
  shape: number[];
}

/** Element types of weight files, by PyTorch's names. */
export type DType =
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'float64'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint64'
  | 'uint32'
  | 'uint16'
  | 'uint8'
  | 'bool';

/** A tensor of a weights file. float16 and bfloat16 are given as the bits of each element, bool as 0 and 1. */
export interface StateTensor {
  dtype: DType;
  shape: number[];
  data:
    | Float32Array
    | Float64Array
    | Int8Array
    | Int16Array
    | Int32Array
    | BigInt64Array
    | Uint8Array
    | Uint16Array
    | Uint32Array
    | BigUint64Array;
}

export interface ParameterInfo {
  dtype: DType;
  shape: number[];
}

/**
 * Interleaved 8-bit samples, rows top to bottom. Where a model has as many channels, they are its channels, whatever they
 * mean; else 1 is grey, 2 are grey and alpha, 3 are RGB, 4 are RGBA, colours not multiplied by alpha.
 */
export interface RawImage {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  channels: number;
}

/**
 * What a page or a Node program has of an image. A string is a path, in Node. It is read as it is at the time of the call,
 * or in an array when its turn comes; bitmaps, frames and buffers stay the caller's.
 *
 * A model of 3 channels gets RGB, one of 1 gets grey (PIL's mode 'L'), both composed onto white where the image is
 * transparent; one of 4 gets RGBA. Other numbers of channels need a `RawImage`. Of a file, the first frame is taken, upright
 * by its EXIF orientation, with 8 bits a sample (the high byte of 16), and its colour profile is ignored, as in PIL.
 *
 * Errors: image_decode for what cannot be read, be it of another origin, closed or not loaded; limit_exceeded above 100
 * million pixels; input_shape for none; image_unsupported where Node lacks the package sharp.
 */
export type ImageSource =
  | RawImage
  | PlatformClass<'ImageData'>
  | PlatformClass<'ImageBitmap'>
  | PlatformClass<'HTMLImageElement'>
  | PlatformClass<'HTMLCanvasElement'>
  | PlatformClass<'HTMLVideoElement'>
  | PlatformClass<'OffscreenCanvas'>
  | PlatformClass<'VideoFrame'>
  | PlatformClass<'Blob'>
  | Uint8Array
  | ArrayBuffer
  | PlatformClass<'URL'>
  | string;

/** Where weights come from. A string is an address, or in Node a path. */
export type WeightsSource =
  | PlatformClass<'URL'>
  | string
  | ArrayBuffer
  | Uint8Array
  | PlatformClass<'Blob'>
  | PlatformClass<'Response'>
  | PlatformClass<'ReadableStream'>;

export interface Progress {
  stage: 'download' | 'load' | 'compile';
  /** Bytes so far. */
  loaded: number;
  /** Bytes in all; 0 where that is not known. */
  total: number;
  file: string;
}

/** A store of one's own, such as a `Cache` of the page. */
export interface WeightsCache {
  match(url: string): Promise<PlatformClass<'Response'> | undefined>;
  put(url: string, response: PlatformClass<'Response'>): Promise<void>;
}

/** Of a call of a model. */
export interface CallOptions {
  /** Stops the call, which then rejects with `ERR_ABORTED` at once; the model remains usable. */
  signal?: PlatformClass<'AbortSignal'>;
}

export interface LoadOptions {
  /** Keep what is downloaded: in Cache Storage, or in Node in a folder. Default true. */
  cache?: boolean | WeightsCache;
  onProgress?: (progress: Progress) => void;
  /** Stops the load in any stage, which then rejects with `ERR_ABORTED` at once. */
  signal?: PlatformClass<'AbortSignal'>;
  /** Instead of the global `fetch`. */
  fetch?: Fetch;
  /** 'sha256-' and the digest of the weights file, in base64 or hexadecimal. */
  integrity?: string;
  /**
   * Bytes that a download may have; one that says that it has more, in its length or its safetensors header, is refused at
   * once. Default 4 GiB, more than a WebAssembly memory can hold.
   */
  maxBytes?: number;
  /** Milliseconds without a byte after which a download fails. Default 60 000. */
  idleTimeout?: number;
  /**
   * The wrapper in a PyTorch checkpoint that holds the tensors, such as 'model_ema'; '' is the checkpoint itself. Default,
   * as in timm: 'state_dict_ema', 'model_ema', 'state_dict' or 'model', the first that is there, else the checkpoint, or
   * 'encoder' where the checkpoint itself has no tensors.
   */
  key?: string;
  /** A weight that is NaN or infinite is an error, `ERR_WEIGHTS_NONFINITE`. Default false: it is loaded as it is. */
  checkFinite?: boolean;
}

export interface CreateModelOptions extends LoadOptions {
  /** Weights from the hub. Default false: random weights, from `seed`. */
  pretrained?: boolean;
  /** Instead of the hub's. */
  weights?: WeightsSource;
  /** Base address laid out as the Hugging Face hub is. */
  hub?: string | PlatformClass<'URL'>;
  /** Channels of the input. Default 3; weights are adapted as timm does. */
  inChans?: number;
  /** Default: the model's own. Another number starts with a random classifier; 0 has none. */
  numClasses?: number;
  /** Default: the model's own. Maps can be pooled by 'catavgmax', tokens by 'token', 'map' and 'prr'; '' is no pool. */
  globalPool?: 'avg' | 'max' | 'avgmax' | 'catavgmax' | 'token' | 'map' | 'prr' | '';
  /** How weights are kept. Default 'float32'. */
  dtype?: 'float32' | 'float16';
  /** Default: as many as the machine and the page allow. */
  threads?: number;
  /**
   * Default: relaxed where the machine and the page have it. Relaxed SIMD is faster, and may round otherwise on another
   * machine; plain SIMD gives the same numbers on all.
   */
  simd?: Simd;
  /**
   * Run in a worker, so that the caller's thread stays free. Default: on the main thread of a page that can start one;
   * a worker that was asked for and cannot start is an error.
   */
  worker?: boolean;
  /** [height, width], or both, for models of fixed size, whose position embeddings are resampled. */
  imgSize?: number | [number, number];
  /** `forward` gives the feature maps of `outIndices`. */
  featuresOnly?: boolean;
  /** Levels of the feature maps, negative ones from the end. Default: all. */
  outIndices?: number[];
  /** Only algorithms that round as a direct convolution does. */
  exact?: boolean;
  /** Missing, unexpected or misshapen parameters are an error. Default true. */
  strict?: boolean;
  /** Of random weights. Default 0. */
  seed?: number;
}

export interface Classification {
  index: number;
  /** The name of an ImageNet class; undefined for other sets of classes. */
  label: string | undefined;
  probability: number;
}

export interface LayerProfile {
  /** timm's module path. */
  name: string;
  kind: string;
  /** Of the output, channels last. */
  shape: number[];
  milliseconds: number;
  multiplyAdds: number;
}

/** Channels and reduction of one level of `featuresOnly`. */
export interface FeatureLevel {
  module: string;
  channels: number;
  reduction: number;
}

/** Names of what a weights file lacked or had too much; all empty after a strict load. */
export interface LoadReport {
  missing: string[];
  unexpected: string[];
  mismatched: string[];
}

export type Variant = 'simd' | 'simd-threads' | 'relaxed' | 'relaxed-threads';

/** Plain and relaxed. */
export type Simd = 'simd' | 'relaxed-simd';

/** The build that runs a model. */
export interface Backend {
  variant: Variant;
  simd: Simd;
  threads: number;
  /** Whether it runs in a worker. */
  worker: boolean;
}

export interface Capabilities {
  simd: boolean;
  relaxedSimd: boolean;
  threads: boolean;
  /** Whether a page is cross-origin isolated, which threads need there. */
  isolated: boolean;
  /** The build that `createModel` takes by default; undefined where none runs. */
  variant: Variant | undefined;
  /** Why a faster build is not taken. */
  reasons: string[];
}

export interface MemoryUse {
  /** Bytes of WebAssembly memory taken from the system; never shrinks. */
  heap: number;
  /** Bytes of it that are in use. */
  used: number;
  /** Bytes of this model's packed weights, and of the buffers for its last input shape. */
  weights: number;
  arena: number;
}

export interface Configuration {
  /** The folder where the package's .mjs and .wasm files lie. */
  wasm?: string | PlatformClass<'URL'>;
  threads?: number;
  simd?: Simd;
  hub?: string | PlatformClass<'URL'>;
  cache?: boolean | WeightsCache;
}
