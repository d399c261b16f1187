// 3×3 convolution of stride 1 by Winograd's F(4×4, 3×3) (arXiv 1509.09308): 36 products for 16 outputs instead of 144.
//
// Each 4×4 tile of the output comes from a 6×6 tile d of the input and a 3×3 filter g: Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A. Summed
// over input channels, the elementwise product is 36 matrix products, [tiles, in] · [in, out]: one grouped 1×1
// convolution of XNNPACK's on a value [tiles, 36, channels]. Tiles go through in chunks that stay in cache.
#include <algorithm>
#include <array>

#include "kernels/activations.h"
#include "kernels/conv2d.h"
#include "kernels/xnnpack.h"

namespace wimm {
namespace {

constexpr int64_t tile = 4, window = 6, products = window * window;
constexpr size_t chunk_bytes = 768 << 10;  // of transformed tiles, in and out

// Bᵀ · d for one column (or row) of six.
inline void transform_input(const std::array<f32x4, 6>& d, std::array<f32x4, 6>& out) {
  const f32x4 even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
  const f32x4 even2 = d[4] - d[2], odd2 = 2.0f * (d[3] - d[1]);
  out[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
  out[1] = even + odd;
  out[2] = even - odd;
  out[3] = even2 + odd2;
  out[4] = even2 - odd2;
  out[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

// Aᵀ · m for one column (or row) of six.
inline void transform_output(const std::array<f32x4, 6>& m, std::array<f32x4, 4>& out) {
  const f32x4 sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  out[0] = m[0] + sum1 + sum2;
  out[1] = difference1 + 2.0f * difference2;
  out[2] = sum1 + 4.0f * sum2;
  out[3] = difference1 + 8.0f * difference2 + m[5];
}

// G · g · Gᵀ of one filter, in double.
std::array<double, products> transform_filter(const float* g) {
  static constexpr double G[window][3] = {{1.0 / 4, 0, 0},
                                          {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                          {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                          {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                          {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                          {0, 0, 1}};
  std::array<double, products> u{};
  for (int64_t i = 0; i < window; ++i)
    for (int64_t j = 0; j < window; ++j)
      for (int64_t y = 0; y < 3; ++y)
        for (int64_t x = 0; x < 3; ++x) u[i * window + j] += G[i][y] * g[y * 3 + x] * G[j][x];
  return u;
}

// weight [out, in, 3, 3] → [36, out, in].
std::vector<float> transform_filters(const std::vector<float>& weight, int64_t filters) {
  std::vector<float> result(filters * products + overread_floats);
  for (int64_t f = 0; f < filters; ++f) {
    const std::array<double, products> u = transform_filter(&weight[f * 9]);
    for (int64_t p = 0; p < products; ++p) result[p * filters + f] = static_cast<float>(u[p]);
  }
  return result;
}

class WinogradKernel final : public Kernel {
 public:
  WinogradKernel(const Conv2d& op, int64_t in_channels, const Strides& strides, std::string_view layer,
                 ParameterReader& reader)
      : layer_(layer),
        activation_(op.activation),
        padding_(op.padding),
        in_(in_channels),
        out_(op.out_channels),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output) {
    FoldedWeights weights = read_folded(op, layer, reader);
    bias_ = std::move(weights.bias);
    initialize_xnnpack();
    const std::vector<float> filters = transform_filters(weights.weight, in_ * out_);
    weights.weight = {};
    weight_bytes_ = filters.size() * sizeof(float);
    const auto [low, high] = output_range(Activation::identity);
    xnn_operator_t created = nullptr;
    check(xnn_create_convolution2d_nhwc_f32(0, 0, 0, 0, 1, 1, 1, 1, 1, 1, products, in_, out_, products * in_,
                                            products * out_, filters.data(), nullptr, low, high, 0, nullptr, nullptr,
                                            &created),
          layer_);
    operator_.reset(created);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool& pool) override {
    input_ = inputs[0];
    output_ = output;
    rows_ = (output[1] + tile - 1) / tile;
    columns_ = (output[2] + tile - 1) / tile;
    tiles_ = output[0] * rows_ * columns_;
    const int64_t tile_bytes = products * (in_ + out_) * static_cast<int64_t>(sizeof(float));
    const int64_t chunks = std::max<int64_t>(1, tiles_ * tile_bytes / static_cast<int64_t>(chunk_bytes));
    chunk_ = (tiles_ + chunks - 1) / chunks;
    size_t workspace = 0, alignment = 0, height = 0, width = 0;
    check(xnn_reshape_convolution2d_nhwc_f32(operator_.get(), 1, 1, chunk_, &workspace, &alignment, &height, &width,
                                             pool.handle()),
          layer_);
    xnnpack_bytes_ = (workspace + 63) / 64 * 64;
    return xnnpack_bytes_ + chunk_ * tile_bytes + 2 * overread_floats * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    auto* in_tiles = reinterpret_cast<float*>(workspace + xnnpack_bytes_);
    float* out_tiles = in_tiles + chunk_ * products * in_ + overread_floats;
    check(xnn_setup_convolution2d_nhwc_f32(operator_.get(), workspace, in_tiles, out_tiles), layer_);
    for (int64_t first = 0; first < tiles_; first += chunk_) {
      const int64_t count =
          std::min(chunk_, tiles_ - first);  // the last chunk's products may be of old tiles: not read
      pool.parallel_for(count, std::max<int64_t>(1, count / 8), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) gather(inputs[0], first + i, in_tiles + i * products * in_);
      });
      check(xnn_run_operator(operator_.get(), pool.handle()), layer_);
      with_activation(activation_, [&](auto activation) {
        pool.parallel_for(count, std::max<int64_t>(1, count / 8), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) scatter(out_tiles + i * products * out_, first + i, output, activation);
        });
      });
    }
  }

  size_t weight_bytes() const override { return weight_bytes_; }

 private:
  struct Place {
    int64_t image, y, x;
  };
  Place place(int64_t index) const {
    const int64_t per_image = rows_ * columns_;
    return {index / per_image, index % per_image / columns_ * tile, index % columns_ * tile};
  }

  // Bᵀ d B of tile `index`, zeros beyond the image's edges, to [36, in].
  void gather(const float* input, int64_t index, float* to) const {
    const Place p = place(index);
    const int64_t top = p.y - padding_.top, left = p.x - padding_.left, height = input_[1], width = input_[2];
    const float* image = input + p.image * height * width * in_stride_;
    for (int64_t c = 0; c < in_; c += 4) {
      std::array<std::array<f32x4, 6>, 6> columns;  // Bᵀ d, by column of d
      for (int64_t j = 0; j < window; ++j) {
        std::array<f32x4, 6> d;
        const bool inside = left + j >= 0 && left + j < width;
        for (int64_t i = 0; i < window; ++i)
          d[i] = inside && top + i >= 0 && top + i < height
                     ? load(image + ((top + i) * width + left + j) * in_stride_ + c)
                     : f32x4{};
        transform_input(d, columns[j]);
      }
      for (int64_t i = 0; i < window; ++i) {
        std::array<f32x4, 6> row, result;
        for (int64_t j = 0; j < window; ++j) row[j] = columns[j][i];
        transform_input(row, result);
        for (int64_t j = 0; j < window; ++j) store(to + (i * window + j) * in_ + c, result[j]);
      }
    }
  }

  // activation(Aᵀ m A + bias) of tile `index`, cut at the image's edges.
  template <class Function>
  void scatter(const float* from, int64_t index, float* output, Function activation) const {
    const Place p = place(index);
    const int64_t height = output_[1], width = output_[2];
    const int64_t rows = std::min(tile, height - p.y), columns = std::min(tile, width - p.x);
    float* corner = output + ((p.image * height + p.y) * width + p.x) * out_stride_;
    for (int64_t c = 0; c < out_; c += 4) {
      std::array<std::array<f32x4, 4>, 6> partial;  // Aᵀ m, by column of m
      for (int64_t j = 0; j < window; ++j) {
        std::array<f32x4, 6> m;
        for (int64_t i = 0; i < window; ++i) m[i] = load(from + (i * window + j) * out_ + c);
        transform_output(m, partial[j]);
      }
      const f32x4 bias = load(&bias_[c]);
      for (int64_t i = 0; i < rows; ++i) {
        std::array<f32x4, 6> row;
        std::array<f32x4, 4> result;
        for (int64_t j = 0; j < window; ++j) row[j] = partial[j][i];
        transform_output(row, result);
        for (int64_t j = 0; j < columns; ++j)
          store(corner + (i * width + j) * out_stride_ + c, activation(result[j] + bias));
      }
    }
  }

  std::string layer_;
  Activation activation_;
  Padding padding_;
  int64_t in_, out_;                // channels
  int64_t in_stride_, out_stride_;  // of pixels
  std::vector<float> bias_;
  XnnOperator operator_;
  Shape input_, output_;
  int64_t rows_ = 0, columns_ = 0, tiles_ = 0, chunk_ = 0;
  size_t xnnpack_bytes_ = 0, weight_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_winograd(const Conv2d& op, int64_t channels, const Strides& strides,
                                      std::string_view layer, ParameterReader& reader) {
  return std::make_unique<WinogradKernel>(op, channels, strides, layer, reader);
}

}  // namespace wimm
