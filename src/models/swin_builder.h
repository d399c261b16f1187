// What the Swin transformers of timm/models/swin_transformer.py, swin_transformer_v2.py and swin_transformer_v2_cr.py
// share: stages of attention in windows, shifted in every other block.
#pragma once

#include <array>

#include "models/families.h"

namespace wimm {

// One number of each stage.
using Stages = std::array<int64_t, 4>;

struct SwinTransformer {
  // v1 (arXiv 2103.14030): learned biases by offset, norms before attention and MLP. v2 (2111.09883): cosine attention,
  // biases computed by an MLP, norms after. v2_cr: another implementation of v2.
  enum class Version : uint8_t { v1, v2, v2_cr } version;
  int64_t embed_dim;
  Stages depths, heads, windows{};  // v2_cr's windows are an eighth of the grid of patches
  int64_t img_size = 224;
  Stages pretrained_windows{};  // v2: 0 for its own
  bool stage_norm = false;      // v2_cr: a norm after each stage, not after the last alone
  int64_t norm_period = 0;      // v2_cr: a norm after so many blocks

  constexpr SwinTransformer with(auto SwinTransformer::* member, auto value) const {
    SwinTransformer spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr SwinTransformer at(int64_t size) const { return with(&SwinTransformer::img_size, size); }
  constexpr SwinTransformer window(int64_t size) const {
    return with(&SwinTransformer::windows, Stages{size, size, size, size});
  }
};

// depth: of the third stage; heads: of the first, doubled in each that follows.
constexpr SwinTransformer swin(SwinTransformer::Version version, int64_t embed_dim, int64_t depth, int64_t heads) {
  return {version, embed_dim, {2, 2, depth, 2}, {heads, 2 * heads, 4 * heads, 8 * heads}};
}

Network build_swin(const SwinTransformer& spec, const BuildOptions& options);

}  // namespace wimm
