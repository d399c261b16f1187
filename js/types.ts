// The types of the public interface.

/** A class of the platform's own, or `never` where the program's type libraries do not know it. */
type PlatformClass<Name extends string> = typeof globalThis extends { [K in Name]: { prototype: infer Instance } }
  ? Instance
  : never;

/** `fetch`, or something that does its work. With `cache: 'no-store'`, what it gives is kept by wimm's own cache. */
export type Fetch = (
  url: string,
  init: { headers: Record<string, string>; signal: PlatformClass<'AbortSignal'>; cache?: 'no-store' },
) => Promise<PlatformClass<'Response'>>;

/** A contiguous float32 tensor, its last dimension fastest. Images are [N, C, H, W]. */
export interface Tensor {
  /** As many elements as the product of `shape`. */
  data: Float32Array;
  /** Elements of each dimension, the outermost first. */
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
  /** The type that the file has. */
  dtype: DType;
  /** Elements of each dimension, the outermost first; [] is a scalar. */
  shape: number[];
  /** Contiguous, the last dimension fastest, in the array of `dtype`. */
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

/** Type and shape of a parameter or buffer, as in timm's `state_dict()`. */
export interface ParameterInfo {
  /** Always that of timm's, whatever the option `dtype` keeps. */
  dtype: DType;
  /** A convolution's weight is [O, I / groups, kH, kW]. */
  shape: number[];
}

/**
 * Interleaved 8-bit samples, rows top to bottom. Where a model has as many channels, they are its channels, whatever they
 * mean; else 1 is grey, 2 are grey and alpha, 3 are RGB, 4 are RGBA, colours not multiplied by alpha.
 */
export interface RawImage {
  /** height × width × channels bytes. */
  data: Uint8Array | Uint8ClampedArray;
  /** In pixels. */
  width: number;
  /** In pixels. */
  height: number;
  /** Samples of a pixel. */
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
 * Errors: `ERR_IMAGE_DECODE` for what cannot be read, be it of another origin, closed or not loaded;
 * `ERR_LIMIT_EXCEEDED` above 100 million pixels; `ERR_INPUT_SHAPE` for none; `ERR_IMAGE_UNSUPPORTED` where Node lacks the
 * package sharp.
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

/** How far a load is, in one of its stages. They overlap: WebAssembly is compiled while weights are downloaded. */
export interface Progress {
  /** The file is fetched; its parameters become the model's; WebAssembly is compiled, which is counted 0 and 1. */
  stage: 'download' | 'load' | 'compile';
  /** Bytes so far. */
  loaded: number;
  /** Bytes in all; 0 where that is not known. */
  total: number;
  /** The address without its query, or the name of what else there is; of 'compile', in the end, the build. */
  file: string;
}

/** A store of one's own, such as a `Cache` of the page. */
export interface WeightsCache {
  /** The entry of an address, or undefined where there is none. */
  match(url: string): Promise<PlatformClass<'Response'> | undefined>;
  /** Takes an entry, with its headers: `x-wimm-…` tell its digest and what its server calls it. */
  put(url: string, response: PlatformClass<'Response'>): Promise<void>;
}

/** Of a call of a model. */
export interface CallOptions {
  /** Stops the call, which then rejects with `ERR_ABORTED` at once; the model remains usable. */
  signal?: PlatformClass<'AbortSignal'>;
}

/** Of what loads weights. */
export interface LoadOptions {
  /** Keep what is downloaded: among the files of the page's origin or in its Cache Storage, in Node in a folder. Default true. */
  cache?: boolean | WeightsCache;
  /** Called as the load goes on. If it throws, the load fails with `ERR_INVALID_ARGUMENT`; `cause` is what it threw. */
  onProgress?: (progress: Progress) => void;
  /** Stops the load in any stage, which then rejects with `ERR_ABORTED` at once. */
  signal?: PlatformClass<'AbortSignal'>;
  /** Instead of the global `fetch`. */
  fetch?: Fetch;
  /** 'sha256-' and the file's digest, in base64 or hexadecimal. A file of another is `ERR_INTEGRITY`. */
  integrity?: string;
  /**
   * Bytes that a download may have; one that says that it has more, in its length or its safetensors header, is refused
   * at once, with `ERR_LIMIT_EXCEEDED`. Default 4 GiB, more than a WebAssembly memory can hold.
   */
  maxBytes?: number;
  /** Milliseconds without a byte after which a download fails, with `ERR_TIMEOUT`. Default 60 000. */
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

/** Of `createModel`. An option of the wrong type, range or name is `ERR_INVALID_ARGUMENT`. */
export interface CreateModelOptions extends LoadOptions {
  /** Weights from the hub. Default false: random weights, from `seed`. */
  pretrained?: boolean;
  /** Instead of the hub's. */
  weights?: WeightsSource;
  /** Base address laid out as the Hugging Face hub is. Default: that of `configure`, 'https://huggingface.co'. */
  hub?: string | PlatformClass<'URL'>;
  /** Channels of the input, 1 to 65 536. Default 3; weights are adapted as timm does. */
  inChans?: number;
  /** Default: the cfg's. Another number starts with a random classifier; 0 has none: `forward` gives pooled features. */
  numClasses?: number;
  /** Default: the model's own. Maps can be pooled by 'catavgmax', tokens by 'token', 'map' and 'prr'; '' is no pool. */
  globalPool?: 'avg' | 'max' | 'avgmax' | 'catavgmax' | 'token' | 'map' | 'prr' | '';
  /**
   * How weights are kept. Default 'float32'. 'float16' rounds them, and a weight beyond its range is
   * `ERR_WEIGHTS_NONFINITE`. 'int8' computes convolutions and linear layers in integers, with weights of 8 bits scaled for
   * each output channel: faster, in less memory, and less exact.
   */
  dtype?: 'float32' | 'float16' | 'int8';
  /** 1 to 16. Default: as many as the machine and the page allow. Threads that cannot be had are `ERR_ENV_NO_THREADS`. */
  threads?: number;
  /**
   * Default: relaxed where the machine and the page have it. Relaxed SIMD is faster, and may round otherwise on another
   * machine; plain SIMD gives the same numbers on all.
   */
  simd?: Simd;
  /**
   * Run in a worker, so that the caller's thread stays free. Default: on the main thread of a page that can start one;
   * a worker that was asked for and cannot start is `ERR_WORKER_CRASHED`.
   */
  worker?: boolean;
  /** In pixels: [height, width], or both, for models of fixed size, whose position embeddings are resampled. */
  imgSize?: number | [number, number];
  /** `forward` gives the feature maps of `outIndices`, and there is no classifier. Default false. */
  featuresOnly?: boolean;
  /** Levels of the feature maps, negative ones from the end. Default: those that timm gives. */
  outIndices?: number[];
  /** Only algorithms that round as a direct convolution does: none of Winograd's. Slower. Default false. */
  exact?: boolean;
  /** Missing, unexpected or misshapen parameters are `ERR_STATE_DICT_MISMATCH`. Default true; else see `loadReport`. */
  strict?: boolean;
  /** Of random weights. Default 0. */
  seed?: number;
}

/** A class that an image may be of. */
export interface Classification {
  /** Its place among the logits. */
  index: number;
  /** The name of an ImageNet class; undefined for other sets of classes. */
  label: string | undefined;
  /** 0 to 1: the softmax of the logits. */
  probability: number;
}

/** The cost of a layer. */
export interface LayerProfile {
  /** timm's module path. */
  name: string;
  /** The operation, such as 'conv2d' or 'attention'. */
  kind: string;
  /** Of the output, channels last: [N, H, W, C], [N, L, C] or [N, C]. */
  shape: number[];
  /** Of one run. */
  milliseconds: number;
  /** Of convolutions, matrix products and attention; 0 for others. */
  multiplyAdds: number;
}

/** Channels and reduction of one level of `featuresOnly`. */
export interface FeatureLevel {
  /** timm's path of the module whose output it is. */
  module: string;
  /** C of the map [N, C, H, W]. */
  channels: number;
  /** Pixels of the image, in each direction, for one of the map. */
  reduction: number;
}

/** Names of what a weights file lacked or had too much; all empty after a strict load. */
export interface LoadReport {
  /** Parameters of the model that the file lacks. They have random values. */
  missing: string[];
  /** Tensors of the file that the model has no parameter for. */
  unexpected: string[];
  /** Tensors whose shape is another than the parameter's, which has random values. */
  mismatched: string[];
}

/** A build of the WebAssembly module: SIMD plain or relaxed, with threads or without. */
export type Variant = 'simd' | 'simd-threads' | 'relaxed' | 'relaxed-threads';

/** Plain and relaxed. */
export type Simd = 'simd' | 'relaxed-simd';

/** The build that runs a model. */
export interface Backend {
  /** Its name, and that of its files. */
  variant: Variant;
  /** Relaxed SIMD has fused multiply-adds, and rounds as the machine does. */
  simd: Simd;
  /** 1 in builds without threads. */
  threads: number;
  /** Whether it runs in a worker. */
  worker: boolean;
}

/** What the machine and the page allow. */
export interface Capabilities {
  /** WebAssembly SIMD, without which nothing runs. */
  simd: boolean;
  /** Relaxed WebAssembly SIMD. */
  relaxedSimd: boolean;
  /** Shared WebAssembly memory. */
  threads: boolean;
  /** Whether a page is cross-origin isolated, which threads need there. */
  isolated: boolean;
  /** The build that `createModel` takes by default; undefined where none runs. */
  variant: Variant | undefined;
  /** Why a faster build is not taken. */
  reasons: string[];
}

/** Memory that a model and its engine use, in bytes. */
export interface MemoryUse {
  /** WebAssembly memory taken from the system, for all models of the engine; never shrinks. */
  heap: number;
  /** What of it is in use. */
  used: number;
  /** This model's packed weights. */
  weights: number;
  /** Its activations, for the shape of its last input. */
  arena: number;
}

/** Of `configure`. */
export interface Configuration {
  /** The folder where the package's worker.js, .mjs and .wasm files lie. Default: beside the module that loads them. */
  wasm?: string | PlatformClass<'URL'>;
  /** As `threads` of `createModel`. */
  threads?: number;
  /** As `simd` of `createModel`. */
  simd?: Simd;
  /** As `hub` of `createModel`. */
  hub?: string | PlatformClass<'URL'>;
  /** As `cache` of `createModel`. */
  cache?: boolean | WeightsCache;
}
