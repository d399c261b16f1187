// What runs models: asynchronous methods on plain data, so that a worker may stand between it and its caller.

import type { Picture } from '../images/picture.js';
import type { ArrivingFile } from './pieces.js';
import type {
  Backend,
  DType,
  FeatureLevel,
  LayerProfile,
  LoadReport,
  MemoryUse,
  ParameterInfo,
  StateTensor,
  Tensor,
} from '../types.js';

/** A weights file that can be read at any place, any number of times. */
export type WholeFile =
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'file'; path: string }
  /** Of a page; where it is of a cache, with the checksum of its bytes, and the handle of a file that begins with them. */
  | { kind: 'blob'; blob: Blob; checksum?: string | undefined; handle?: FileSystemFileHandle };

export type WeightsFile = WholeFile | ArrivingFile;

/** The bytes of a file that come before the data of its tensors, and how many it will have in all. */
export interface WeightsHead {
  bytes: Uint8Array;
  size: number;
}

export interface ModelSpec {
  architecture: string;
  inChans: number;
  numClasses: number;
  globalPool: string | undefined;
  imgSize: [number, number] | undefined;
  /** Height and width of the images to expect. */
  imageSize: [number, number];
  featuresOnly: boolean;
  outIndices: number[];
  seed: number;
  strict: boolean;
  key: string | undefined;
  checkFinite: boolean;
  resetClassifier: boolean;
  labelOffset: number;
  dtype: DType;
  exact: boolean;
  pretrained: boolean;
  weights: WeightsFile | undefined;
}

/** A model of an engine, and what is known of it. */
export interface ModelFacts {
  id: number;
  numFeatures: number;
  featureInfo: FeatureLevel[];
  parameters: Map<string, ParameterInfo>;
  loadReport: LoadReport;
}

export interface PreprocessSpec {
  height: number;
  width: number;
  cropPct: number;
  cropMode: string;
  interpolation: string;
  mean: number[];
  std: number[];
}

export type Run = 'forward' | 'forwardFeatures' | 'forwardHead' | 'preLogits' | 'embed' | 'forwardIntermediates';

/** Called as parameters are loaded, with bytes. */
export type OnLoad = (loaded: number, total: number) => void;

/** A call with a signal settles when it has stopped, soon after the signal: with what it gives, or the signal's reason. */
export interface Engine {
  readonly backend: Backend;
  /** Whether `run` and `profile` have read `x` when they return; otherwise they take it over. */
  readonly readsAtOnce: boolean;
  /** Whether its kernels compute rightly. Errors: out_of_memory where its threads cannot start. */
  selfCheck(): Promise<boolean>;
  createModel(spec: ModelSpec, onLoad: OnLoad, signal?: AbortSignal): Promise<ModelFacts>;
  /** Throws what `createModel` would throw before it reads a tensor, for weights of which there is the head or nothing. */
  checkModel(spec: Omit<ModelSpec, 'weights'>, head?: WeightsHead): Promise<void>;
  /**
   * The list has one tensor, or those of `forwardIntermediates`. A model runs once at a time: the next call of it waits until
   * this one has settled.
   */
  run(model: number, method: Run, x: Tensor, signal?: AbortSignal): Promise<Tensor[]>;
  profile(model: number, x: Tensor, signal?: AbortSignal): Promise<LayerProfile[]>;
  memory(model: number): Promise<MemoryUse>;
  dispose(model: number): Promise<void>;
  /** Takes over the picture, gives it `channels` channels, and makes it a tensor [1, C, H, W]. */
  preprocess(picture: Picture, channels: number, spec: PreprocessSpec): Promise<Tensor>;
  loadStateDict(
    file: WeightsFile,
    key: string | undefined,
    checkFinite: boolean,
    signal?: AbortSignal,
  ): Promise<Map<string, StateTensor>>;
  adaptInputConv(weight: StateTensor, inChans: number): Promise<StateTensor>;
  /** Frees all; no call may follow. */
  close(): void;
}
