// Attention's bias by the offset of a key from its query.
#pragma once

#include <vector>

#include "kernels/kernel.h"

namespace wimm {

class RelativeBiasTable {
 public:
  RelativeBiasTable(const RelativeBias& op, int64_t heads, ParameterReader& reader);

  // scores [prefix + height · width] of one query of a head become scores · scale + bias.
  void apply(float* scores, float scale, int64_t head, int64_t query) const;
  size_t bytes() const { return values_.size() * sizeof(float); }

 private:
  Size2d grid_;
  int64_t stride_, prefix_, offsets_, row_;  // offsets of a head; floats of a head
  std::vector<float> values_;  // [heads, offsets (of keys from their query, ascending) + those of the prefix]
};

// The products of a query with what is learned for offsets.
class OffsetProductTable {
 public:
  OffsetProductTable(const OffsetProducts& op, int64_t depth, ParameterReader& reader);

  // Sizes of windows, where the operation names no grids.
  void reshape(Size2d queries, Size2d keys);
  // scores [prefix + keys] of one query become scores · scale + products.
  void apply(float* scores, float scale, const float* query, int64_t index) const;

 private:
  // Along one axis: what an offset's product is with, [queries, keys, depth].
  struct Axis {
    int64_t queries = 0, keys = 0;
    std::vector<float> learned, table;
  };
  void reshape(Axis& axis, int64_t queries, int64_t keys) const;
  void products(const Axis& axis, int64_t place, const float* query, float* result) const;

  OffsetProducts op_;
  int64_t depth_;
  Axis rows_, columns_;
};

}  // namespace wimm
