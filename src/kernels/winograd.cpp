// 3×3 convolution of stride 1 by Winograd's algorithm (arXiv 1509.09308): each tile of the output, n × n, comes from a
// tile d of the input, (n + 2)², and a filter g: Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A. Summed over input channels, the elementwise
// product is (n + 2)² matrix products, [tiles, in] · [in, out]. F(4×4, 3×3) takes 36 products for 16 outputs instead of
// 144, and weights of four times their size; F(3×3, 3×3) 25 for 9 instead of 81, and 2.8 times; F(2×2, 3×3) 16 for 4
// instead of 36, and 1.8 times. Tiles go through in chunks that stay in cache.
#include <algorithm>
#include <array>
#include <utility>

#include "kernels/activations.h"
#include "kernels/conv2d.h"
#include "kernels/gemm.h"
#include "kernels/xnnpack.h"

namespace wimm {
namespace {

constexpr size_t chunk_bytes = 768 << 10;  // of transformed tiles, in and out
constexpr int64_t apart =
    16;  // floats, of a product's tiles from the next: a tile's are written to other sets of the cache

struct F2 {
  static constexpr int64_t tile = 2, window = 4;

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

struct F3 {
  static constexpr int64_t tile = 3, window = 5;

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

struct F4 {
  static constexpr int64_t tile = 4, window = 6;

  static void transform_filter(const std::array<f32x4, 3>& g, std::array<f32x4, window>& out) {
    const f32x4 sixth = constant<-1.0f / 6>(), ends = sixth * (g[0] + g[2]), middle = sixth * g[1];
    const f32x4 ends2 = constant<1.0f / 24>() * (g[0] + constant<4.0f>() * g[2]),
                middle2 = constant<1.0f / 12>() * g[1];
    out[0] = constant<0.25f>() * g[0];
    out[1] = ends + middle;
    out[2] = ends - middle;
    out[3] = ends2 + middle2;
    out[4] = ends2 - middle2;
    out[5] = g[2];
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

// G · g · Gᵀ for each filter g: of weight [width, in, 3, 3] the weights of a panel of each product, [in, 8]. A panel is
// `width` columns wide, four or eight: where there are four, they come twice. A function of its own, and called from
// two places, since an engine begins to run the optimised code of a function when it is called, not in the midst of it.
template <class F>
[[gnu::noinline]] void transform_panel(const float* weight, int64_t width, int64_t in,
                                       const std::array<float*, F::window * F::window>& to) {
  constexpr int64_t window = F::window;
  for (int64_t c = 0; c < in; ++c)
    for (int64_t half = 0; half < panel_columns; half += 4) {
      const float *g0 = weight + (std::min(half, width - 4) * in + c) * 9, *g1 = g0 + in * 9, *g2 = g1 + in * 9,
                  *g3 = g2 + in * 9;
      std::array<f32x4, 9> g;
      for (int64_t k = 0; k < 9; ++k) g[k] = f32x4{g0[k], g1[k], g2[k], g3[k]};
      std::array<std::array<f32x4, window>, 3> columns;  // G · g, by column of g
      for (int64_t x = 0; x < 3; ++x) F::transform_filter({g[x], g[3 + x], g[6 + x]}, columns[x]);
      for (int64_t i = 0; i < window; ++i) {
        std::array<f32x4, window> row;
        F::transform_filter({columns[0][i], columns[1][i], columns[2][i]}, row);
        for (int64_t j = 0; j < window; ++j) store(to[i * window + j] + c * panel_columns + half, row[j]);
      }
    }
}

template <class F>
class WinogradKernel final : public Kernel {
 public:
  static constexpr int64_t tile = F::tile, window = F::window, products = window * window;

  WinogradKernel(const Conv2d& op, int64_t in_channels, const Strides& strides, std::string_view layer,
                 ParameterReader& reader)
      : activation_(op.activation),
        range_(output_range(op.activation)),
        padding_(op.padding),
        in_(in_channels),
        out_(op.out_channels),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output) {
    gemms_.reserve(products);
    for (int64_t p = 0; p < products; ++p) gemms_.emplace_back(out_, in_);
    FoldedWeights weights = read_folded(op, layer, reader);
    bias_ = std::move(weights.bias);
    const auto transform = [&](int64_t panel, int64_t width) {
      std::array<float*, products> to;
      for (int64_t p = 0; p < products; ++p) to[p] = gemms_[p].open_panel(panel);
      transform_panel<F>(&weights.weight[panel * panel_columns * in_ * 9], width, in_, to);
    };
    const int64_t whole = out_ / panel_columns;
    reader.pool().parallel_for(whole, 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) transform(panel, panel_columns);
    });
    if (out_ % panel_columns != 0) transform(whole, out_ % panel_columns);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    input_ = inputs[0];
    output_ = output;
    rows_ = (output[1] + tile - 1) / tile;
    columns_ = (output[2] + tile - 1) / tile;
    tiles_ = output[0] * rows_ * columns_;
    const int64_t tile_bytes = products * (in_ + out_) * static_cast<int64_t>(sizeof(float));
    const int64_t chunks = std::max<int64_t>(1, tiles_ * tile_bytes / static_cast<int64_t>(chunk_bytes));
    chunk_ = std::min((tiles_ + chunks - 1) / chunks, Gemm::most_rows);
    in_step_ = chunk_ * in_ + apart;
    out_step_ = chunk_ * out_ + apart;
    return products * (in_step_ + out_step_) * static_cast<int64_t>(sizeof(float));
  }

  // Tiles are [products, chunk, channels], the products a little apart.
  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    auto* in_tiles = reinterpret_cast<float*>(workspace);
    float* out_tiles = in_tiles + products * in_step_;
    for (int64_t first = 0; first < tiles_; first += chunk_) {
      const int64_t count = std::min(chunk_, tiles_ - first), grain = std::max<int64_t>(1, count / 8);
      pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) gather(inputs[0], first + i, in_tiles + i * in_);
      });
      pool.parallel_for(products, 1, [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p)
          gemms_[p].multiply(in_tiles + p * in_step_, in_, count, out_tiles + p * out_step_, out_);
      });
      pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) scatter(out_tiles + i * out_, first + i, output);
      });
    }
  }

  size_t weight_bytes() const override { return products * gemms_[0].weight_bytes(); }

 private:
  using Column = std::array<f32x4, window>;

  struct Place {
    int64_t image, y, x;
  };
  Place place(int64_t index) const {
    const int64_t per_image = rows_ * columns_;
    return {index / per_image, index % per_image / columns_ * tile, index % columns_ * tile};
  }

  // Bᵀ d B of tile `index`, zeros beyond the image's edges.
  void gather(const float* input, int64_t index, float* to) const {
    const Place p = place(index);
    const int64_t top = p.y - padding_.top, left = p.x - padding_.left, height = input_[1], width = input_[2];
    const float* image = input + p.image * height * width * in_stride_;
    const int64_t next = in_step_;
    for (int64_t c = 0; c < in_; c += 4) {
      std::array<Column, window> columns;  // Bᵀ d, by column of d
      for (int64_t j = 0; j < window; ++j) {
        Column d;
        const bool inside = left + j >= 0 && left + j < width;
        for (int64_t i = 0; i < window; ++i)
          d[i] = inside && top + i >= 0 && top + i < height
                     ? load(image + ((top + i) * width + left + j) * in_stride_ + c)
                     : f32x4{};
        F::transform_input(d, columns[j]);
      }
      for (int64_t i = 0; i < window; ++i) {
        Column row, result;
        for (int64_t j = 0; j < window; ++j) row[j] = columns[j][i];
        F::transform_input(row, result);
        for (int64_t j = 0; j < window; ++j) store(to + (i * window + j) * next + c, result[j]);
      }
    }
  }

  // activation(Aᵀ m A + bias) of tile `index`, cut at the image's edges.
  void scatter(const float* from, int64_t index, float* output) const {
    const Place p = place(index);
    const int64_t height = output_[1], width = output_[2];
    const int64_t rows = std::min(tile, height - p.y), columns = std::min(tile, width - p.x);
    float* corner = output + ((p.image * height + p.y) * width + p.x) * out_stride_;
    const int64_t next = out_step_;
    const f32x4 low = splat(range_.first), high = splat(range_.second);
    for (int64_t c = 0; c < out_; c += 4) {
      std::array<std::array<f32x4, tile>, window> partial;  // Aᵀ m, by column of m
      for (int64_t j = 0; j < window; ++j) {
        Column m;
        for (int64_t i = 0; i < window; ++i) m[i] = load(from + (i * window + j) * next + c);
        F::transform_output(m, partial[j]);
      }
      const f32x4 bias = load(&bias_[c]);
      for (int64_t i = 0; i < rows; ++i) {
        Column row;
        std::array<f32x4, tile> result;
        for (int64_t j = 0; j < window; ++j) row[j] = partial[j][i];
        F::transform_output(row, result);
        for (int64_t j = 0; j < columns; ++j)
          store(corner + (i * width + j) * out_stride_ + c, min(max(result[j] + bias, low), high));
      }
    }
    if (is_clamp(activation_)) return;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        float* const pixel = corner + (i * width + j) * out_stride_;
        apply_activation(activation_, pixel, pixel, out_);
      }
  }

  Activation activation_;
  std::pair<float, float> range_;  // of results before the activation, where that is a clamp
  Padding padding_;
  int64_t in_, out_;                // channels
  int64_t in_stride_, out_stride_;  // of pixels
  std::vector<float> bias_;
  std::vector<Gemm> gemms_;  // by product
  Shape input_, output_;
  int64_t rows_ = 0, columns_ = 0, tiles_ = 0, chunk_ = 0;
  int64_t in_step_ = 0, out_step_ = 0;  // from a product to the next, in floats
};

}  // namespace

std::unique_ptr<Kernel> make_winograd(const Conv2d& op, int64_t channels, const Strides& strides,
                                      std::string_view layer, ParameterReader& reader) {
  const auto make = [&]<class F>(F) -> std::unique_ptr<Kernel> {
    return std::make_unique<WinogradKernel<F>>(op, channels, strides, layer, reader);
  };
  return op.winograd_tile == 2 ? make(F2{}) : op.winograd_tile == 3 ? make(F3{}) : make(F4{});
}

}  // namespace wimm
