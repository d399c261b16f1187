// Resampling of a grid of values, as PyTorch's interpolate does it in float32.
#pragma once

#include <span>
#include <vector>

#include "graph/ops.h"

namespace wimm {

// [height, width, channels] of `from` → the same of `to`.
std::vector<float> resample_grid(std::span<const float> values, Size2d from, Size2d to, int64_t channels,
                                 Resampling resampling);

// Position embeddings of a grid behind `prefix` others, which stay, as timm's resample_abs_pos_embed.
std::vector<float> resample_positions(std::span<const float> positions, int64_t prefix, Size2d from, Size2d to,
                                      int64_t channels, Resampling resampling);

// Biases of attention by offset in a window, [(2 · height - 1) · (2 · width - 1), heads] and what is behind them, which
// stays, as timm's resize_rel_pos_bias_table: offsets near 0 stay apart as they were, far ones are spread.
std::vector<float> resample_offsets(std::span<const float> table, Size2d from, Size2d to, int64_t heads);

// Weights of a patch embedding, `count` kernels [height, width], for patches of another size, as timm's
// resample_patch_embed: a patch that is resized as PyTorch does gives what it gave before.
std::vector<float> resample_patch_weights(std::span<const float> weights, int64_t count, Size2d from, Size2d to,
                                          Resampling resampling);

}  // namespace wimm
