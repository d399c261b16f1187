/**
 * timm's image models in the browser and in Node.js: the public interface.
 *
 * @module wimm
 */

/// <reference lib="esnext.disposable" preserve="true" />

export { adaptInputConv } from './adapt_input_conv.js';
export {
  getPretrainedCfg,
  isModel,
  isModelPretrained,
  listModels,
  listModules,
  listPretrainedTags,
  type ListModelsOptions,
  type PretrainedCfg,
} from './catalogue/index.js';
export { configure } from './config.js';
export { createModel } from './create_model.js';
export { capabilities } from './engine/load.js';
export { WimmError, type ErrorCode, type WimmErrorData, type WimmErrorOptions } from './errors.js';
export { loadStateDict } from './load_state_dict.js';
export type { Model } from './model.js';
export type * from './types.js';
