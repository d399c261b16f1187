// Convolution by Winograd's algorithm (arXiv 1509.09308): each tile of the output comes from a tile d of the input, its
// window, and a filter g: Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A. Summed over input channels, each product of the elementwise one is
// a matrix product, [tiles, in] · [in, out]. Tiles go through in chunks that stay in cache.
//
// | along a line      | products | instead of | in both dimensions | weights' size, then |
// | F(2, 3)           |        4 |          6 |       16 for 36    | 1.8 times           |
// | F(3, 3)           |        5 |          9 |       25 for 81    | 2.8                 |
// | F(4, 3)           |        6 |         12 |       36 for 144   | 4; along one, 2     |
// | F(2, 3), stride 2 |        5 |          6 |       25 for 36    | 1.8                 |
// | F(4, 3), stride 2 |        9 |         12 |       81 for 144   | 4                   |
// | F(2, 5)           |        6 |         10 |       36 for 100   | 1.4                 |
// | F(4, 7)           |       10 |         28 |                    | along one, 1.4      |
#include <algorithm>
#include <array>
#include <utility>

#include "kernels/activations.h"
#include "kernels/conv2d.h"
#include "kernels/gemm.h"

namespace wimm {

// Of F(4, 7)'s points ±p, and Π (x - p²). Other files could write them, as far as compilers know: see `constant`.
struct PointPair {
  float point, factor;  // 1 / (2p² · Π (p² - q²)), over the other points q
  float others[3];      // coefficients of Π (x - q²)
};
PointPair point_pairs[] = {{1, -32.0f / 63, {-9.0f / 16, 217.0f / 64, -77.0f / 16}},
                           {2, 8.0f / 2475, {-9.0f / 64, 61.0f / 64, -29.0f / 16}},
                           {0.5f, -512.0f / 225, {-9.0f / 4, 109.0f / 16, -89.0f / 16}},
                           {0.75f, 32768.0f / 17325, {-1, 21.0f / 4, -21.0f / 4}}};
float all_points[] = {9.0f / 16, -253.0f / 64, 525.0f / 64, -93.0f / 16};

namespace {

// Of transformed tiles, in and out: as many as of weights, which each chunk reads, between these.
constexpr int64_t least_chunk_bytes = 768 << 10, most_chunk_bytes = 4 << 20;
// Floats, of a product's tiles from the next: a tile's are written to other sets of the cache.
constexpr int64_t apart = 16;
constexpr int64_t most_filters = 36, most_pixels = 81;  // of a tile, F(4×4, 3×3) of stride 2

// An algorithm along one dimension: `tile` outputs, `stride` apart, of a filter of so many `taps` come from a `window`
// of as many inputs as there are products. Products share their weights where those have fewer `filters`.
template <int64_t tile_, int64_t taps_>
struct Stride1 {
  static constexpr int64_t tile = tile_, taps = taps_, stride = 1, window = tile + taps - 1, filters = window;
  static constexpr int64_t filter_of(int64_t product) { return product; }
};

struct F2 : Stride1<2, 3> {
  // G · g for one column (or row).
  static void transform_filter(const std::array<f32x4, 3>& g, std::array<f32x4, window>& out) {
    const f32x4 half = constant<0.5f>(), ends = half * (g[0] + g[2]), middle = half * g[1];
    out[0] = g[0];
    out[1] = ends + middle;
    out[2] = ends - middle;
    out[3] = g[2];
  }
  // Bᵀ · d for one column (or row).
  static void transform_input(const std::array<f32x4, window>& d, std::array<f32x4, window>& out) {
    out[0] = d[0] - d[2];
    out[1] = d[1] + d[2];
    out[2] = d[2] - d[1];
    out[3] = d[1] - d[3];
  }
  // Aᵀ · m for one column (or row).
  static void transform_output(const std::array<f32x4, window>& m, std::array<f32x4, tile>& out) {
    out[0] = m[0] + m[1] + m[2];
    out[1] = m[1] - m[2] - m[3];
  }
};

struct F3 : Stride1<3, 3> {
  static void transform_filter(const std::array<f32x4, 3>& g, std::array<f32x4, window>& out) {
    const f32x4 sixth = constant<1.0f / 6>(), third = constant<1.0f / 3>();
    out[0] = constant<0.5f>() * g[0];
    out[1] = constant<-0.5f>() * (g[0] + g[1] + g[2]);
    out[2] = sixth * (g[1] - g[0] - g[2]);
    out[3] = sixth * g[0] + third * (g[1] + (g[2] + g[2]));
    out[4] = g[2];
  }
  static void transform_input(const std::array<f32x4, window>& d, std::array<f32x4, window>& out) {
    const f32x4 odd = d[3] - d[1];
    out[0] = multiply_add(constant<2.0f>(), d[0] - d[2], odd);
    out[1] = odd - (d[1] + d[2]);
    out[2] = multiply_add(constant<3.0f>(), d[1] - d[2], odd);
    out[3] = odd;
    out[4] = multiply_add(constant<-2.0f>(), odd, d[4] - d[2]);
  }
  static void transform_output(const std::array<f32x4, window>& m, std::array<f32x4, tile>& out) {
    const f32x4 sum = m[1] + m[2];
    out[0] = m[0] + sum + m[3];
    out[1] = (m[1] - m[2]) + (m[3] + m[3]);
    out[2] = multiply_add(constant<4.0f>(), m[3], sum) + m[4];
  }
};

// Scaled values of a polynomial at 0, ±1, ±2 and ∞, from its first and last coefficient and, at 1 and 2, the sums of
// its even terms, and of its odd ones over the point.
void values_at_six_points(f32x4 first, f32x4 even1, f32x4 odd1, f32x4 even2, f32x4 odd2, f32x4 last,
                          std::array<f32x4, 6>& out) {
  even1 *= constant<-1.0f / 6>();
  odd1 *= constant<-1.0f / 6>();
  even2 *= constant<1.0f / 24>();
  odd2 *= constant<1.0f / 12>();
  out = {constant<0.25f>() * first, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, last};
}

struct F4 : Stride1<4, 3> {
  static void transform_filter(const std::array<f32x4, 3>& g, std::array<f32x4, window>& out) {
    values_at_six_points(g[0], g[0] + g[2], g[1], g[0] + constant<4.0f>() * g[2], g[1], g[2], out);
  }
  static void transform_input(const std::array<f32x4, window>& d, std::array<f32x4, window>& out) {
    const f32x4 four = constant<4.0f>(), minus_four = constant<-4.0f>(), minus_five = constant<-5.0f>();
    const f32x4 even = multiply_add(minus_four, d[2], d[4]), odd = multiply_add(minus_four, d[1], d[3]);
    const f32x4 even2 = d[4] - d[2], odd2 = d[3] - d[1], twice = odd2 + odd2;
    out[0] = multiply_add(four, d[0], multiply_add(minus_five, d[2], d[4]));
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = even2 + twice;
    out[4] = even2 - twice;
    out[5] = multiply_add(four, d[1], multiply_add(minus_five, d[3], d[5]));
  }
  static void transform_output(const std::array<f32x4, window>& m, std::array<f32x4, tile>& out) {
    const f32x4 sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    out[0] = m[0] + sum1 + sum2;
    out[1] = difference1 + (difference2 + difference2);
    out[2] = multiply_add(constant<4.0f>(), sum2, sum1);
    out[3] = multiply_add(constant<8.0f>(), difference2, difference1) + m[5];
  }
};

// At F(4, 3)'s points.
struct F25 : Stride1<2, 5> {
  static void transform_filter(const std::array<f32x4, 5>& g, std::array<f32x4, window>& out) {
    const f32x4 four = constant<4.0f>();
    values_at_six_points(g[0], g[0] + g[2] + g[4], g[1] + g[3], g[0] + four * (g[2] + four * g[4]), g[1] + four * g[3],
                         g[4], out);
  }
  static void transform_input(const std::array<f32x4, window>& d, std::array<f32x4, window>& out) {
    F4::transform_input(d, out);
  }
  static void transform_output(const std::array<f32x4, window>& m, std::array<f32x4, tile>& out) {
    const f32x4 difference2 = m[3] - m[4];
    out[0] = m[0] + (m[1] + m[2]) + (m[3] + m[4]);
    out[1] = (m[1] - m[2]) + (difference2 + difference2) + m[5];
  }
};

// Of two taps: F(2, 2) and F(4, 2), whose windows are F(2, 3)'s of one input less, and F(3, 3)'s.
struct F22 {
  static void transform_filter(f32x4 g0, f32x4 g1, f32x4* out) {
    out[0] = g0;
    out[1] = g0 + g1;
    out[2] = g1;
  }
  static void transform_input(const std::array<f32x4, 3>& d, std::array<f32x4, 3>& out) {
    out[0] = d[0] - d[1];
    out[1] = d[1];
    out[2] = d[2] - d[1];
  }
  static void transform_output(const f32x4* m, std::array<f32x4, 2>& out) {
    out[0] = m[0] + m[1];
    out[1] = m[1] + m[2];
  }
};
struct F42 {
  static void transform_filter(f32x4 g0, f32x4 g1, f32x4* out) {
    out[0] = constant<0.5f>() * g0;
    out[1] = constant<-0.5f>() * (g0 + g1);
    out[2] = constant<1.0f / 6>() * (g1 - g0);
    out[3] = multiply_add(constant<1.0f / 3>(), g1, constant<1.0f / 6>() * g0);
    out[4] = g1;
  }
  static void transform_input(const std::array<f32x4, 5>& d, std::array<f32x4, 5>& out) { F3::transform_input(d, out); }
  static void transform_output(const f32x4* m, std::array<f32x4, 4>& out) {
    const f32x4 sum = m[1] + m[2], difference = m[1] - m[2];
    out[0] = m[0] + sum + m[3];
    out[1] = difference + (m[3] + m[3]);
    out[2] = multiply_add(constant<4.0f>(), m[3], sum);
    out[3] = multiply_add(constant<8.0f>(), m[3], difference) + m[4];
  }
};

// Three taps at stride 2: the outer two by Even over the even inputs, and, as they are, the middle one's products with
// the odd inputs.
template <int64_t tile_, class Even>
struct Stride2 {
  static constexpr int64_t tile = tile_, taps = 3, stride = 2, window = 2 * tile + 1, even = tile + 1,
                           filters = even + 1;
  static constexpr int64_t filter_of(int64_t product) { return std::min(product, even); }

  static void transform_filter(const std::array<f32x4, 3>& g, std::array<f32x4, filters>& out) {
    Even::transform_filter(g[0], g[2], out.data());
    out[even] = g[1];
  }
  static void transform_input(const std::array<f32x4, window>& d, std::array<f32x4, window>& out) {
    std::array<f32x4, even> inputs, products;
    for (int64_t i = 0; i < even; ++i) inputs[i] = d[2 * i];
    Even::transform_input(inputs, products);
    for (int64_t i = 0; i < even; ++i) out[i] = products[i];
    for (int64_t i = 0; i < tile; ++i) out[even + i] = d[2 * i + 1];
  }
  static void transform_output(const std::array<f32x4, window>& m, std::array<f32x4, tile>& out) {
    Even::transform_output(m.data(), out);
    for (int64_t i = 0; i < tile; ++i) out[i] += m[even + i];
  }
};
using F2Stride2 = Stride2<2, F22>;
using F4Stride2 = Stride2<4, F42>;

// Seven taps, by the values of polynomials at 0, ∞, and ±p for these p.
struct F47 : Stride1<4, 7> {
  static void transform_filter(const std::array<f32x4, 7>& g, std::array<f32x4, window>& out) {
    out[0] = constant<16.0f / 9>() * g[0];
    out[9] = g[6];
#pragma GCC unroll 1
    for (int64_t i = 0; i < 4; ++i) {
      const f32x4 p = splat(point_pairs[i].point), square = p * p, factor = splat(point_pairs[i].factor);
      const f32x4 even = ((g[6] * square + g[4]) * square + g[2]) * square + g[0],
                  odd = ((g[5] * square + g[3]) * square + g[1]) * p;
      out[1 + 2 * i] = factor * (even + odd);
      out[2 + 2 * i] = factor * (even - odd);
    }
  }
  static void transform_input(const std::array<f32x4, window>& d, std::array<f32x4, window>& out) {
    // c0 · d[first] + c1 · d[first + 2] + … + d[first + 2 · count]
    const auto polynomial = [&](const float* c, int64_t count, int64_t first) {
      f32x4 sum = d[first + 2 * count];
      for (int64_t k = 0; k < count; ++k) sum = multiply_add(splat(c[k]), d[first + 2 * k], sum);
      return sum;
    };
    out[0] = polynomial(all_points, 4, 0);
    out[9] = polynomial(all_points, 4, 1);
#pragma GCC unroll 1
    for (int64_t i = 0; i < 4; ++i) {
      const PointPair& pair = point_pairs[i];
      const f32x4 even = polynomial(pair.others, 3, 2), odd = splat(pair.point) * polynomial(pair.others, 3, 1);
      out[1 + 2 * i] = even + odd;
      out[2 + 2 * i] = even - odd;
    }
  }
  static void transform_output(const std::array<f32x4, window>& m, std::array<f32x4, tile>& out) {
    out = {m[0], f32x4{}, f32x4{}, m[9]};
#pragma GCC unroll 1
    for (int64_t i = 0; i < 4; ++i) {
      const f32x4 p = splat(point_pairs[i].point), square = p * p;
      const f32x4 even = m[1 + 2 * i] + m[2 + 2 * i], odd = p * (m[1 + 2 * i] - m[2 + 2 * i]);
      out[0] += even;
      out[1] += odd;
      out[2] = multiply_add(square, even, out[2]);
      out[3] = multiply_add(square, odd, out[3]);
    }
  }
};

// Nothing, along the dimension in which a filter has but one tap.
struct One : Stride1<1, 1> {
  static void transform_filter(const std::array<f32x4, 1>& g, std::array<f32x4, 1>& out) { out = g; }
  static void transform_input(const std::array<f32x4, 1>& d, std::array<f32x4, 1>& out) { out = d; }
  static void transform_output(const std::array<f32x4, 1>& m, std::array<f32x4, 1>& out) { out = m; }
};

// G · g · Gᵀ for each filter g: of weight [width, in, Y::taps, X::taps] the weights of a panel of each, [in, 8]. A
// panel is `width` columns wide, four or eight: where there are four, they come twice.
template <class Y, class X>
void transform_filters(const float* weight, int64_t width, int64_t in, float* const* to) {
  constexpr int64_t taps = Y::taps * X::taps;
  for (int64_t c = 0; c < in; ++c)
#pragma GCC unroll 1
    for (int64_t half = 0; half < panel_columns; half += 4) {
      const float *g0 = weight + (std::min(half, width - 4) * in + c) * taps, *g1 = g0 + in * taps,
                  *g2 = g1 + in * taps, *g3 = g2 + in * taps;
      std::array<f32x4, taps> g;
      for (int64_t k = 0; k < taps; ++k) g[k] = f32x4{g0[k], g1[k], g2[k], g3[k]};
      std::array<std::array<f32x4, Y::filters>, X::taps> columns;  // G · g, by column of g
#pragma GCC unroll 1
      for (int64_t x = 0; x < X::taps; ++x) {
        std::array<f32x4, Y::taps> column;
        for (int64_t y = 0; y < Y::taps; ++y) column[y] = g[y * X::taps + x];
        Y::transform_filter(column, columns[x]);
      }
#pragma GCC unroll 1
      for (int64_t i = 0; i < Y::filters; ++i) {
        std::array<f32x4, X::taps> row;
        std::array<f32x4, X::filters> result;
        for (int64_t x = 0; x < X::taps; ++x) row[x] = columns[x][i];
        X::transform_filter(row, result);
        for (int64_t j = 0; j < X::filters; ++j) store(to[i * X::filters + j] + c * panel_columns + half, result[j]);
      }
    }
}

// Bᵀ d B of the tile at these pixels, [X::window, Y::window]: products `next` floats apart.
template <class Y, class X>
void transform_inputs(const float* const* pixels, ptrdiff_t channels, float* to, ptrdiff_t next) {
  for (ptrdiff_t c = 0; c < channels; c += 4) {
    std::array<f32x4, X::window> rows[Y::window];  // Bᵀ d
#pragma GCC unroll 1
    for (ptrdiff_t j = 0; j < X::window; ++j) {
      std::array<f32x4, Y::window> d, column;
#pragma GCC unroll 10
      for (ptrdiff_t i = 0; i < Y::window; ++i) d[i] = load(pixels[j * Y::window + i] + c);
      Y::transform_input(d, column);
#pragma GCC unroll 10
      for (ptrdiff_t i = 0; i < Y::window; ++i) rows[i][j] = column[i];
    }
    float* product = to + c;
#pragma GCC unroll 1
    for (ptrdiff_t i = 0; i < Y::window; ++i) {
      std::array<f32x4, X::window> row = rows[i], result;
      X::transform_input(row, result);
#pragma GCC unroll 10
      for (ptrdiff_t j = 0; j < X::window; ++j, product += next) store(product, result[j]);
    }
  }
}

// A tile of an image: how many of its lines and pixels are to be written, and floats from one to the next.
struct Target {
  float* corner;
  ptrdiff_t rows, columns, row_step, column_step;
};

// Aᵀ m A + bias between low and high, of products `next` floats apart.
template <class Y, class X>
void transform_outputs(const float* from, ptrdiff_t channels, ptrdiff_t next, const float* bias_of, float lowest,
                       float highest, const Target& target) {
  const f32x4 low = splat(lowest), high = splat(highest);
  for (ptrdiff_t c = 0; c < channels; c += 4) {
    std::array<f32x4, Y::window> partial[X::tile];  // m A, by column
    const float* product = from + c;
#pragma GCC unroll 1
    for (ptrdiff_t i = 0; i < Y::window; ++i) {
      std::array<f32x4, X::window> m;
      std::array<f32x4, X::tile> row;
#pragma GCC unroll 10
      for (ptrdiff_t j = 0; j < X::window; ++j, product += next) m[j] = load(product);
      X::transform_output(m, row);
#pragma GCC unroll 4
      for (ptrdiff_t j = 0; j < X::tile; ++j) partial[j][i] = row[j];
    }
    const f32x4 bias = load(bias_of + c);
#pragma GCC unroll 1
    for (ptrdiff_t j = 0; j < target.columns; ++j) {
      const std::array<f32x4, Y::window> m = partial[j];
      std::array<f32x4, Y::tile> column;
      Y::transform_output(m, column);
      float* pixel = target.corner + j * target.column_step + c;
#pragma GCC unroll 4
      for (ptrdiff_t i = 0; i < Y::tile; ++i, pixel += target.row_step)
        if (i < target.rows) store(pixel, clamp(column[i] + bias, low, high));
    }
  }
}

// An algorithm in both dimensions. An engine begins to run a function's optimised code when it is called, not in the
// midst of it: these are called for each panel or tile.
struct Algorithm {
  Size2d tile, stride, window, taps;
  int64_t filters;
  int64_t (*filter_of)(int64_t product);
  decltype(&transform_filters<F2, F2>) filter;
  decltype(&transform_inputs<F2, F2>) input;
  decltype(&transform_outputs<F2, F2>) output;
};
template <class Y, class X>
Algorithm algorithm() {
  static_assert(Y::filters * X::filters <= most_filters && Y::window * X::window <= most_pixels);
  return {{Y::tile, X::tile},
          {Y::stride, X::stride},
          {Y::window, X::window},
          {Y::taps, X::taps},
          Y::filters * X::filters,
          [](int64_t product) {
            return Y::filter_of(product / X::window) * X::filters + X::filter_of(product % X::window);
          },
          transform_filters<Y, X>,
          transform_inputs<Y, X>,
          transform_outputs<Y, X>};
}

// The algorithm's first dimension is the lines' numbers and its second is along lines, or the other way round where the
// kernel has one column.
class WinogradKernel final : public Kernel {
 public:
  WinogradKernel(const Algorithm& algorithm, const Conv2d& op, int64_t in_channels, const Strides& strides,
                 std::string_view layer, ParameterReader& reader)
      : algorithm_(algorithm),
        op_(op),
        range_(output_range(op.activation)),
        across_(op.kernel != algorithm.taps),
        in_(in_channels),
        out_(op.out_channels),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output) {
    gemms_.reserve(algorithm_.filters);
    for (int64_t f = 0; f < algorithm_.filters; ++f) gemms_.emplace_back(out_, in_);
    zeros_.resize(static_cast<size_t>(in_));
    FoldedWeights weights = read_folded(op, layer, reader);
    bias_ = std::move(weights.bias);
    const auto transform = [&](int64_t panel, int64_t width) {
      std::array<float*, most_filters> to;
      for (int64_t f = 0; f < algorithm_.filters; ++f) to[f] = gemms_[f].open_panel(panel);
      const int64_t first = panel * panel_columns * in_ * algorithm_.taps[0] * algorithm_.taps[1];
      algorithm_.filter(&weights.weight[first], width, in_, to.data());
    };
    const int64_t whole = out_ / panel_columns;
    reader.pool().parallel_for(whole, 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) transform(panel, panel_columns);
    });
    if (out_ % panel_columns != 0) transform(whole, out_ % panel_columns);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    const PaddedImage padded = padded_image(op_, inputs[0], output);
    input_ = {{inputs[0][1], inputs[0][2]}, {inputs[0][2] * in_stride_, in_stride_}};
    output_ = {{output[1], output[2]}, {output[2] * out_stride_, out_stride_}};
    before_ = padded.before;
    if (across_) {
      input_.turn();
      output_.turn();
      std::swap(before_[0], before_[1]);
    }
    const auto tiles_along = [&](size_t d) { return (output_.size[d] + algorithm_.tile[d] - 1) / algorithm_.tile[d]; };
    rows_ = tiles_along(0);
    columns_ = tiles_along(1);
    tiles_ = output[0] * rows_ * columns_;
    const int64_t tile_bytes = products() * (in_ + out_) * static_cast<int64_t>(sizeof(float));
    const auto chunk_bytes = std::clamp(static_cast<int64_t>(weight_bytes()), least_chunk_bytes, most_chunk_bytes);
    const int64_t chunks = std::max<int64_t>(1, tiles_ * tile_bytes / chunk_bytes);
    chunk_ = std::min((tiles_ + chunks - 1) / chunks, Gemm::most_rows);
    in_step_ = chunk_ * in_ + apart;
    out_step_ = chunk_ * out_ + apart;
    return products() * (in_step_ + out_step_) * static_cast<int64_t>(sizeof(float));
  }

  // Tiles are [products, chunk, channels], the products a little apart.
  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    auto* in_tiles = reinterpret_cast<float*>(workspace);
    float* out_tiles = in_tiles + products() * in_step_;
    for (int64_t first = 0; first < tiles_; first += chunk_) {
      const int64_t count = std::min(chunk_, tiles_ - first), grain = std::max<int64_t>(1, count / 8);
      pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) gather(inputs[0], first + i, in_tiles + i * in_);
      });
      pool.parallel_for(products(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
          const Gemm& gemm = gemms_[algorithm_.filter_of(p)];
          gemm.multiply(in_tiles + p * in_step_, in_, count, out_tiles + p * out_step_, out_);
        }
      });
      pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) scatter(out_tiles + i * out_, first + i, output);
      });
    }
  }

  size_t weight_bytes() const override { return algorithm_.filters * gemms_[0].weight_bytes(); }

 private:
  // Lines of pixels, in the algorithm's dimensions: how many there are, and floats from one to the next.
  struct Image {
    Size2d size{}, step{};

    void turn() {
      std::swap(size[0], size[1]);
      std::swap(step[0], step[1]);
    }
  };

  int64_t products() const { return algorithm_.window[0] * algorithm_.window[1]; }

  struct Place {
    int64_t image, y, x;
  };
  Place place(int64_t index) const {
    const int64_t per_image = rows_ * columns_;
    return {index / per_image, index % per_image / columns_ * algorithm_.tile[0],
            index % columns_ * algorithm_.tile[1]};
  }

  // Transforms tile `index`, zeros beyond the image's edges.
  void gather(const float* input, int64_t index, float* to) const {
    const Place p = place(index);
    const int64_t top = p.y * algorithm_.stride[0] - before_[0], left = p.x * algorithm_.stride[1] - before_[1];
    const float* image = input + p.image * input_.size[0] * input_.size[1] * in_stride_;
    const float *pixels[most_pixels], **pixel = pixels;
    for (int64_t x = left; x < left + algorithm_.window[1]; ++x)
      for (int64_t y = top; y < top + algorithm_.window[0]; ++y) {
        const bool inside = y >= 0 && y < input_.size[0] && x >= 0 && x < input_.size[1];
        *pixel++ = inside ? image + y * input_.step[0] + x * input_.step[1] : zeros_.data();
      }
    algorithm_.input(pixels, static_cast<ptrdiff_t>(in_), to, static_cast<ptrdiff_t>(in_step_));
  }

  // Transforms tile `index` back, cut at the image's edges.
  void scatter(const float* from, int64_t index, float* output) const {
    const Place p = place(index);
    const Target target{output + p.image * output_.size[0] * output_.size[1] * out_stride_ + p.y * output_.step[0] +
                            p.x * output_.step[1],
                        static_cast<ptrdiff_t>(std::min(algorithm_.tile[0], output_.size[0] - p.y)),
                        static_cast<ptrdiff_t>(std::min(algorithm_.tile[1], output_.size[1] - p.x)),
                        static_cast<ptrdiff_t>(output_.step[0]), static_cast<ptrdiff_t>(output_.step[1])};
    algorithm_.output(from, static_cast<ptrdiff_t>(out_), static_cast<ptrdiff_t>(out_step_), bias_.data(), range_.first,
                      range_.second, target);
    if (is_clamp(op_.activation)) return;
    for (ptrdiff_t i = 0; i < target.rows; ++i)
      for (ptrdiff_t j = 0; j < target.columns; ++j) {
        float* const pixel = target.corner + i * target.row_step + j * target.column_step;
        apply_activation(op_.activation, pixel, pixel, out_);
      }
  }

  Algorithm algorithm_;
  Conv2d op_;
  std::pair<float, float> range_;  // of results before the activation, where that is a clamp
  bool across_;
  int64_t in_, out_;                // channels
  int64_t in_stride_, out_stride_;  // of pixels
  std::vector<float> bias_;
  std::vector<float> zeros_;  // a pixel beyond the edges
  std::vector<Gemm> gemms_;   // by filter
  Image input_, output_;
  Size2d before_{};  // zeros around the input
  int64_t rows_ = 0, columns_ = 0, tiles_ = 0, chunk_ = 0;
  int64_t in_step_ = 0, out_step_ = 0;  // from a product to the next, in floats
};

Algorithm algorithm_for(const Conv2d& op) {
  const auto [height, width] = op.kernel;
  if (height == 5) return algorithm<F25, F25>();
  if (height != width) return std::max(height, width) == 7 ? algorithm<One, F47>() : algorithm<One, F4>();
  if (op.stride[0] == 2)
    return op.winograd_tile == 2 ? algorithm<F2Stride2, F2Stride2>() : algorithm<F4Stride2, F4Stride2>();
  return op.winograd_tile == 2   ? algorithm<F2, F2>()
         : op.winograd_tile == 3 ? algorithm<F3, F3>()
                                 : algorithm<F4, F4>();
}

}  // namespace

std::unique_ptr<Kernel> make_winograd(const Conv2d& op, int64_t channels, const Strides& strides,
                                      std::string_view layer, ParameterReader& reader) {
  return std::make_unique<WinogradKernel>(algorithm_for(op), op, channels, strides, layer, reader);
}

}  // namespace wimm
