// timm's adapt_input_conv: the weight of a first convolution for another number of input channels.

import { holds, isDType } from './engine/elements.js';
import { loadEngine } from './engine/load.js';
import { check, describe, integer, invalidArgument } from './options.js';
import type { StateTensor } from './types.js';

/**
 * timm's `adapt_input_conv`: of a weight [O, 3, kH, kW] that of `inChans` input channels, [O, inChans, kH, kW]. 1 is the
 * sum over the input channels; any other number but 3 repeats them, and scales by 3 / inChans. Computed in float32, and
 * cast back to the weight's own type.
 *
 * Errors: `ERR_INVALID_ARGUMENT`; `ERR_STATE_DICT_MISMATCH` for a weight that cannot be adapted; `ERR_WEIGHTS_NONFINITE`
 * where a sum is beyond the weight's type.
 *
 * @param inChans 1 to 65 536.
 */
export async function adaptInputConv(weight: StateTensor, inChans: number): Promise<StateTensor> {
  check('adaptInputConv: inChans', inChans, integer(1, 65_536));
  if (typeof weight !== 'object' || weight === null || !isDType(weight.dtype) || !holds(weight.dtype, weight.data)) {
    throw invalidArgument(
      `adaptInputConv: weight must be { dtype, shape, data }, as loadStateDict gives, got ${describe(weight)}`,
    );
  }
  const { dtype, shape, data } = weight;
  const elements =
    Array.isArray(shape) && shape.every((size) => integer(0, 2 ** 32).read(size) !== undefined)
      ? shape.reduce((a, b) => a * b, 1)
      : -1;
  if (elements !== data.length) {
    throw invalidArgument(`adaptInputConv: the weight's shape does not fit its data of ${data.length} elements`);
  }
  const engine = await loadEngine({ threads: 1 });
  return engine.adaptInputConv({ dtype, shape, data }, inChans);
}
