// Attention in grids and in blocks with what surrounds them, and tables of biases of other layouts, against a loop in
// double precision.
#include <doctest/doctest.h>

#include "kernels/naive_attention.h"

namespace wimm::testing {
namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

TEST_CASE("the tokens of a strided window lie far apart, and a table may have its heads first") {
  const int64_t height = 6, width = 8, heads = 2, depth = 5;
  const Size2d size{3, 2};  // so that every second row and every fourth column are one window's
  const Qkv x({2, height, width, heads * depth}, {2, height, width, heads * depth});
  const FloatTensor table = random_tensor({heads, 5, 3}, 4);
  const Naive naive{heads, depth,
                    [&](int64_t head, int64_t n, Place a, Place b) {
                      const int64_t offset = (b.y / 2 - a.y / 2 + 2) * 3 + b.x / 4 - a.x / 4 + 1;
                      return 0.4 * dot(x.q, x.k, n, a, b, head * depth, depth) + table.data[at(head * 15 + offset)];
                    },
                    [](Place a, Place b) { return a.y % 2 == b.y % 2 && a.x % 4 == b.x % 4; }};
  Attention op = attention(heads, depth, 0.4);
  op.windows = Windows{.size = size, .strided = true};
  op.bias = RelativeBias{.grid = size, .table = 0, .head_first = true};
  FixedParameters parameters{table};
  CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, x.tensors[0].shape), naive(x.q, x.v, 2)) <
        attention_tolerance);
}

TEST_CASE("blocks attend to what surrounds them, zeros outside of the image") {
  const int64_t heads = 2, depth = 4, block = 4, halo = 1, side = block + 2 * halo, channels = heads * depth;
  for (const int64_t stride : {1, 2}) {  // of queries
    CAPTURE(stride);
    const Qkv x({2, 4 / stride, 8 / stride, channels}, {2, 4, 8, channels});
    FloatTensor padded[2];
    for (size_t i = 0; i < 2; ++i) {
      padded[i] = {{2, 6, 10, channels}, {}};
      const Pixels pixels{x.tensors[i + 1]};
      for (int64_t n = 0; n < 2; ++n)
        for (int64_t y = -1; y < 5; ++y)
          for (int64_t column = -1; column < 9; ++column)
            for (int64_t c = 0; c < channels; ++c) {
              const bool inside = y >= 0 && y < 4 && column >= 0 && column < 8;
              padded[i].data.push_back(inside ? static_cast<float>(pixels.at(n, {y, column}, c)) : 0);
            }
    }
    const Pixels k{padded[0]}, v{padded[1]};
    const FloatTensor rows = random_tensor({2 * side - 1, depth}, 4), columns = random_tensor({2 * side - 1, depth}, 5);
    const int64_t queries = block / stride;
    const auto product = [&](const FloatTensor& learned, int64_t head, int64_t n, Place query, int64_t offset) {
      double sum = 0;
      for (int64_t d = 0; d < depth; ++d)
        sum += x.q.at(n, query, head * depth + d) * learned.data[at((offset + side - 1) * depth + d)];
      return sum;
    };
    const Naive naive{heads, depth,
                      [&](int64_t head, int64_t n, Place a, Place b) {
                        const int64_t row = b.y - a.y / queries * block - a.y % queries,
                                      column = b.x - a.x / queries * block - a.x % queries;
                        return 0.3 * dot(x.q, k, n, a, b, head * depth, depth) + product(rows, head, n, a, row) +
                               product(columns, head, n, a, column);
                      },
                      [&](Place a, Place b) {
                        const int64_t left = a.x / queries * block;
                        return b.x >= left && b.x < left + side;
                      }};
    Attention op = attention(heads, depth, 0.3);
    op.windows = Windows{.size = {block, block}, .halo = halo};
    op.products = OffsetProducts{.rows = 0, .columns = 1, .of_keys = true};
    FixedParameters parameters{rows, columns};
    CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, x.tensors[0].shape), naive(x.q, v, 2)) <
          attention_tolerance);
  }
}

TEST_CASE("queries of every second pixel have biases of their own places, from a row of a table of distances") {
  const int64_t depth = 4, height = 3, width = 4;
  const Qkv x({1, 2, 2, depth}, {1, height, width, depth});
  const FloatTensor table = random_tensor({3, height * width}, 4);
  const Naive naive{1, depth,
                    [&](int64_t, int64_t n, Place a, Place b) {
                      const int64_t far = std::abs(2 * a.y - b.y) * width + std::abs(2 * a.x - b.x);
                      return 0.5 * dot(x.q, x.k, n, a, b, 0, depth) + table.data[at(2 * height * width + far)];
                    },
                    [](Place, Place) { return true; }};
  Attention op = attention(1, depth, 0.5);
  op.windows = Windows{};
  op.bias = RelativeBias{.grid = {height, width}, .table = 0, .symmetric = true, .first_head = 2, .stride = 2};
  FixedParameters parameters{table};
  CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, x.tensors[0].shape), naive(x.q, x.v, 1)) <
        attention_tolerance);
}

}  // namespace
}  // namespace wimm::testing
