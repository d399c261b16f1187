// |weights| ≤ 127 and q ≤ 127: two products fit 16 bits, 130,000 fit 32.
#include "kernels/int8_gemm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

#include "kernels/activations.h"
#include "kernels/prefetch.h"
#ifdef __wasm__
#include <wasm_simd128.h>
#endif

namespace wimm {
namespace {

constexpr int64_t group = quantized_group;

inline i32x4 load_group(const void* from) {
  int32_t group;
  std::memcpy(&group, from, sizeof group);
  return i32x4{group, group, group, group};
}

inline i32x4 load_weights(const Quantized* from) {
  i32x4 weights;
  std::memcpy(&weights, from, sizeof weights);
  return weights;
}

// Ways to add to each of four sums the products of a group of weights and of a row, and the rows of a tile whose sums
// then stay in registers.

#ifdef __wasm_relaxed_simd__
// One instruction, where the processor has it; else engines make five of it.
struct FusedProducts {
  static constexpr int64_t most_rows = most_tile_rows;
  static i32x4 add(i32x4 sums, i32x4 weights, i32x4 row) {
    return (i32x4)wasm_i32x4_relaxed_dot_i8x16_i7x16_add((v128_t)weights, (v128_t)row, (v128_t)sums);
  }
};
#endif

// Two instructions of 16-bit numbers, three of bytes.
struct PairProducts {
  static constexpr int64_t most_rows = 4;
  static i32x4 add(i32x4 sums, i32x4 weights, i32x4 row) {
#if defined(__wasm_relaxed_simd__)
    return sums +
           (i32x4)wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16((v128_t)weights, (v128_t)row));
#elif defined(__wasm__)
    return sums + (i32x4)wasm_i32x4_dot_i16x8((v128_t)weights, (v128_t)row);
#else
    const auto low = [](i32x4 pairs) { return pairs << 16 >> 16; };  // sign-extended
    return sums + low(weights) * low(row) + (weights >> 16) * (row >> 16);
#endif
  }
};

}  // namespace

// Rows by the eight columns of a panel.
struct Int8Gemm::Tiles {
  const Quantized* const* rows;
  const QuantizedScale* scales;  // of the rows
  const Segments& segments;
  const Quantized* weights;
  const ColumnTerms& terms;
  float* output;
  int64_t stride, width;
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
};

template <class Products, int64_t rows>
void Int8Gemm::multiply_tiles(const Tiles& product, int64_t tiles) {
  const std::span<const int64_t> offsets = product.segments.offsets;
  const auto length = static_cast<ptrdiff_t>(product.segments.length * panel_columns),
             stride = static_cast<ptrdiff_t>(product.stride), width = static_cast<ptrdiff_t>(product.width);
  const ColumnTerms& terms = product.terms;
  const float low_bound = product.low, high_bound = product.high;
  const bool whole = width == panel_columns;
  const Quantized* const* places = product.rows;
  const QuantizedScale* scales = product.scales;
  float* output = product.output;
  for (; tiles > 0; --tiles, places += rows, scales += rows, output += rows * stride) {
    i32x4 low[rows] = {}, high[rows] = {};
    const Quantized* weights = product.weights;
    for (const int64_t offset : offsets) {
      const Quantized* x[rows];
#pragma GCC unroll 6
      for (int64_t r = 0; r < rows; ++r) x[r] = places[r] + offset;
      const Quantized* const end = weights + length;
#pragma GCC unroll 1
      for (; weights != end; weights += panel_columns * group) {
        const i32x4 weight_low = load_weights(weights), weight_high = load_weights(weights + 4 * group);
#pragma GCC unroll 6
        for (int64_t r = 0; r < rows; ++r) {
          const i32x4 factors = load_group(x[r]);
          x[r] += group;
          low[r] = Products::add(low[r], weight_low, factors);
          high[r] = Products::add(high[r], weight_high, factors);
        }
      }
    }
    const f32x4 lowest = splat(low_bound), highest = splat(high_bound);
    float partial[rows * panel_columns];  // as for floats
    float* to = whole ? output : partial;
    const ptrdiff_t next_row = whole ? stride : panel_columns;
#pragma GCC unroll 6
    for (int64_t r = 0; r < rows; ++r, to += next_row) {
      const f32x4 scale = splat(scales[r].scale), zero = splat(-scales[r].zero);
      const auto finish = [&](i32x4 sums, int64_t c) {
        const f32x4 products = multiply_add(zero, load(terms.weight_sum + c), __builtin_convertvector(sums, f32x4));
        const f32x4 y = multiply_add(products, scale * load(terms.scale + c), load(terms.bias + c));
        return clamp(y, lowest, highest);
      };
      store(to, finish(low[r], 0));
      store(to + 4, finish(high[r], 4));
    }
    if (!whole)
#pragma GCC unroll 1
      for (int64_t r = 0; r < rows; ++r) std::copy_n(partial + r * panel_columns, width, output + r * stride);
  }
}

Int8Gemm::Int8Gemm(const FoldedWeights& weights, int64_t taps, int64_t channels, Activation activation,
                   ThreadPool& pool)
    : channels_(channels),
      depth_(taps * padded_count(channels)),
      columns_(static_cast<int64_t>(weights.bias.size())),
      activation_(activation),
      terms_(static_cast<size_t>((columns_ + panel_columns - 1) / panel_columns)),
      packed_(terms_.size() * static_cast<size_t>(depth_ * panel_columns)) {
  std::tie(low_, high_) = output_range(activation);
  pool.parallel_for(columns_, panel_columns, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> column(static_cast<size_t>(taps * channels));
    for (int64_t c = begin; c < end; ++c) {
      const int64_t lane = c % panel_columns;
      ColumnTerms& terms = terms_[c / panel_columns];
      terms.scale[lane] = round_to_int8({&weights.weight[c * taps * channels], column.size()}, column);
      terms.bias[lane] = weights.bias[c];
      Quantized* to = &packed_[c / panel_columns * depth_ * panel_columns + lane * group];
      const int8_t* from = column.data();
      int64_t sum = 0;
      for (int64_t t = 0; t < taps; ++t, to += padded_count(channels) * panel_columns)
        for (int64_t k = 0; k < channels; ++k, ++from) {
          to[k / group * panel_columns * group + k % group] = *from;
          sum += *from;
        }
      terms.weight_sum[lane] = static_cast<float>(sum);
    }
  });
}

void Int8Gemm::reshape(int64_t rows, const ThreadPool& pool, Segments segments) {
  segments_ = std::move(segments);
  const auto row_floats = depth_ * static_cast<int64_t>(sizeof(Quantized)) / static_cast<int64_t>(sizeof(float));
  chunks_.reshape(rows, row_floats + columns_, static_cast<int64_t>(terms_.size()), pool);
}

size_t Int8Gemm::reshape(int64_t rows, const ThreadPool& pool) {
  reshape(rows, pool, {depth_, {0}});
  scales_.resize(static_cast<size_t>(rows));
  return scales_.size() * static_cast<size_t>(depth_) * sizeof(Quantized);
}

size_t Int8Gemm::weight_bytes() const {
  return packed_.size() * sizeof(Quantized) + terms_.size() * sizeof(ColumnTerms);
}

template <class Products>
void Int8Gemm::multiply_by(std::span<const Quantized* const> rows, const QuantizedScale* scales, int64_t first_panel,
                           int64_t last_panel, float* output, int64_t stride) const {
  static constexpr auto of_height = []<size_t... i>(std::index_sequence<i...>) {
    return std::array{&multiply_tiles<Products, static_cast<int64_t>(i) + 1>...};
  }(std::make_index_sequence<Products::most_rows>());
  WeightStream stream(&packed_[first_panel * panel_columns * depth_],
                      &packed_[0] + last_panel * panel_columns * depth_);
  for (int64_t p = first_panel; p < last_panel; ++p) {
    const Quantized* const weights = &packed_[p * panel_columns * depth_];
    stream.reach(weights + panel_columns * depth_);
    const int64_t column = p * panel_columns;
    for_each_height(static_cast<int64_t>(rows.size()), Products::most_rows,
                    [&](int64_t first, int64_t height, int64_t tiles) {
                      of_height[height - 1]({.rows = &rows[first],
                                             .scales = scales + first,
                                             .segments = segments_,
                                             .weights = weights,
                                             .terms = terms_[p],
                                             .output = output + first * stride + column,
                                             .stride = stride,
                                             .width = std::min(panel_columns, columns_ - column),
                                             .low = low_,
                                             .high = high_},
                                            tiles);
                    });
  }
}

void Int8Gemm::multiply(std::span<const Quantized* const> rows, const QuantizedScale* scales, int64_t first_panel,
                        int64_t last_panel, float* output, int64_t stride) const {
#ifdef __wasm_relaxed_simd__
  if (has_fused_products())
    multiply_by<FusedProducts>(rows, scales, first_panel, last_panel, output, stride);
  else
#endif
    multiply_by<PairProducts>(rows, scales, first_panel, last_panel, output, stride);
  if (is_clamp(activation_)) return;
  const int64_t begin = first_panel * panel_columns, end = std::min(last_panel * panel_columns, columns_);
  for (int64_t r = 0; r < static_cast<int64_t>(rows.size()); ++r)
    apply_activation(activation_, output + r * stride + begin, output + r * stride + begin, end - begin);
}

#ifdef __wasm_relaxed_simd__
namespace {

// Without the instruction, x86 adds pairs of products in 16 bits, which saturate: 127 · 255 · 2 is more than they hold.
bool products_are_fused() {
  const volatile int8_t ones = -1;  // which Binaryen cannot compute with
  const v128_t sums =
      wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_i8x16_splat(127), wasm_i8x16_splat(ones), wasm_i32x4_const_splat(0));
  return wasm_i32x4_extract_lane(sums, 0) != 2 * 32767;
}

}  // namespace

// Whether a tile has the sums of a loop over integers. In Node.js 20, V8's first compiler gets them wrong.
bool Int8Gemm::fused_products_are_exact() {
  constexpr int64_t rows = FusedProducts::most_rows, depth = 16;
  Quantized x[rows * depth], weights[depth * panel_columns];
  for (int64_t i = 0; i < rows * depth; ++i) x[i] = static_cast<Quantized>(i * 29 % 128);
  for (int64_t i = 0; i < depth * panel_columns; ++i) weights[i] = static_cast<Quantized>(i * 37 % 255 - 127);
  const Quantized* pointers[rows];
  QuantizedScale scales[rows];
  for (int64_t r = 0; r < rows; ++r) pointers[r] = x + r * depth, scales[r] = {1, 0};
  ColumnTerms terms{};
  std::fill_n(terms.scale, panel_columns, 1.0f);
  float sums[rows * panel_columns];
  multiply_tiles<FusedProducts, rows>({.rows = pointers,
                                       .scales = scales,
                                       .segments = {.length = depth, .offsets = {0}},
                                       .weights = weights,
                                       .terms = terms,
                                       .output = sums,
                                       .stride = panel_columns,
                                       .width = panel_columns},
                                      1);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < panel_columns; ++c) {
      int64_t sum = 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += x[r * depth + k] * weights[(k / group * panel_columns + c) * group + k % group];
      if (sums[r * panel_columns + c] != static_cast<float>(sum)) return false;
    }
  return true;
}
#endif

bool Int8Gemm::has_fused_products() {
#ifdef __wasm_relaxed_simd__
  static const bool has = products_are_fused() && fused_products_are_exact();
  return has;
#else
  return false;
#endif
}

}  // namespace wimm
