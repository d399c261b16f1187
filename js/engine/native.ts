// What the WebAssembly module offers, as src/bindings declares it.

import type { DType, FeatureLevel, LayerProfile, LoadReport } from '../types.js';
import type { ErrorCode } from '../errors.js';
import type { PixelImage } from '../images/picture.js';
import type { ModelSpec, OnLoad, PreprocessSpec } from './engine.js';

/** Bytes of a weights file; `read` fills the view from a place. */
export interface NativeSource {
  size: number;
  read(offset: number, target: Uint8Array): void;
}

/** A file that is open for reading at any place. */
export interface OpenFile extends NativeSource {
  close(): void;
}

export interface NativeTensor {
  dtype: DType;
  shape: number[];
  data: Uint8Array;
}

export interface NativeError {
  code: ErrorCode;
  message: string;
  tensor?: string;
  offset?: number;
  missing: string[];
  unexpected: string[];
  mismatched: string[];
}

/** What a call gave: C++ exceptions are caught there and handed over as data. */
export type NativeResult<T> = { value: T } | { error: NativeError };

/**
 * A call is started, then advanced until it is done (true), each time by at least a layer and until so many milliseconds
 * have passed; then it has results.
 */
export interface NativeModel {
  start(method: string, data: Float32Array, shape: number[]): NativeResult<undefined>;
  advance(milliseconds: number): NativeResult<boolean>;
  results(): NativeResult<{ data: Float32Array; shape: number[] }[]>;
  layerProfile(): NativeResult<LayerProfile[]>;
  facts(): {
    numFeatures: number;
    featureInfo: FeatureLevel[];
    parameters: { name: string; dtype: DType; shape: number[] }[];
    loadReport: LoadReport;
  };
  memory(): { weights: number; arena: number };
  delete(): void;
}

/** A model under way, advanced as a call of it is, as far as its file has come. */
export interface NativeLoad {
  /** The next layer needs what comes before `end` in the file, and no layer any more what comes before `begin`. */
  wanted(): { begin: number; end: number };
  /** Loads no layer that needs more than the first `received` bytes of the file. */
  advance(milliseconds: number, received: number): NativeResult<boolean>;
  /** Runs layers that are loaded on zeros, for images of the size to expect, until all have run once (true), or as above. */
  warmUp(milliseconds: number): NativeResult<boolean>;
  take(): NativeResult<NativeModel>;
  delete(): void;
}

/** The two sums of js/weights/checksum.ts, of a file that arrives. */
export interface NativeSums {
  advance(received: number): NativeResult<undefined>;
  sums(): [sum: number, sumOfSums: number];
  delete(): void;
}

/** The tensors of a file, one after the other. */
export interface NativeReader {
  next(checkFinite: boolean): NativeResult<({ name: string } & NativeTensor) | undefined>;
  delete(): void;
}

export interface NativeModule {
  loadModel(
    spec: Omit<ModelSpec, 'weights'>,
    source: NativeSource | undefined,
    threads: number,
    onLoad: OnLoad,
  ): NativeResult<NativeLoad>;
  checkModel(spec: Omit<ModelSpec, 'weights'>, source: NativeSource | undefined): NativeResult<undefined>;
  openStateDict(source: NativeSource, key: string | undefined): NativeResult<NativeReader>;
  adaptInputConv(weight: NativeTensor, inChans: number): NativeResult<NativeTensor>;
  /** The image may be grey, grey and alpha, RGB, or RGBA where another of these is asked for. */
  preprocess(
    image: PixelImage,
    spec: PreprocessSpec & { channels: number },
  ): NativeResult<{ data: Float32Array; shape: number[] }>;
  openSums(source: NativeSource): NativeResult<NativeSums>;
  selfCheck(threads: number): NativeResult<boolean>;
  memory(): { heap: number; used: number };
}

/** Emscripten's factory. */
export type CreateModule = (options: {
  locateFile?: (path: string) => string;
  /** Threads that are started with the module: one cannot start while the thread that asked for it is busy. */
  pthreadPoolSize?: number;
  /** Called where one of them cannot start. */
  onThreadError?: (cause: unknown) => void;
  printErr?: (text: string) => void;
}) => Promise<NativeModule>;
