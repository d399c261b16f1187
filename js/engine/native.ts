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

export interface NativeModel {
  run(method: string, data: Float32Array, shape: number[]): NativeResult<{ data: Float32Array; shape: number[] }[]>;
  profile(data: Float32Array, shape: number[]): NativeResult<LayerProfile[]>;
  facts(): {
    numFeatures: number;
    featureInfo: FeatureLevel[];
    parameters: { name: string; dtype: DType; shape: number[] }[];
    loadReport: LoadReport;
  };
  memory(): { weights: number; arena: number };
  delete(): void;
}

export interface NativeModule {
  createModel(
    spec: Omit<ModelSpec, 'weights'>,
    source: NativeSource | undefined,
    threads: number,
    onLoad: OnLoad,
  ): NativeResult<NativeModel>;
  checkModel(spec: Omit<ModelSpec, 'weights'>, source: NativeSource | undefined): NativeResult<undefined>;
  loadStateDict(
    source: NativeSource,
    key: string | undefined,
    checkFinite: boolean,
  ): NativeResult<({ name: string } & NativeTensor)[]>;
  adaptInputConv(weight: NativeTensor, inChans: number): NativeResult<NativeTensor>;
  preprocess(image: PixelImage, spec: PreprocessSpec): NativeResult<{ data: Float32Array; shape: number[] }>;
  memory(): { heap: number; used: number };
}

/** Emscripten's factory. */
export type CreateModule = (options: {
  locateFile?: (path: string) => string;
  /** Threads that are started with the module: one cannot start while the thread that asked for it is busy. */
  pthreadPoolSize?: number;
  printErr?: (text: string) => void;
}) => Promise<NativeModule>;
