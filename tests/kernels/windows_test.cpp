// Attention in windows, with biases and turned heads, against a loop in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/naive_attention.h"

namespace wimm::testing {
namespace {

TEST_CASE("pixels attend within windows of a rolled image, biased by their offset, as Swin's do") {
  // 6 × 8 pixels in windows of 3 × 4 (of 2 × 2, of all), rolled by half a window.
  for (const auto& [sides, roll] :
       {std::pair{Size2d{3, 4}, Size2d{1, 2}}, {{2, 2}, {1, 1}}, {{3, 4}, {0, 0}}, {{6, 8}, {0, 0}}}) {
    const Size2d size = sides, shift = roll;
    CAPTURE(size[0]);
    CAPTURE(shift[0]);
    const int64_t height = 6, width = 8, heads = 2, depth = 5, offsets = (2 * size[0] - 1) * (2 * size[1] - 1);
    const Qkv x({2, height, width, heads * depth}, {2, height, width, heads * depth});
    const FloatTensor table = random_tensor({offsets, heads}, 4);
    const auto rolled = [&](Place p) {
      return Place{(p.y - shift[0] + height) % height, (p.x - shift[1] + width) % width};
    };
    // A pixel that came round the edge does not see one that did not.
    const auto came_round = [&](Place p) { return std::pair{p.y < shift[0], p.x < shift[1]}; };
    const Naive naive{heads, depth,
                      [&](int64_t head, int64_t n, Place query, Place key) {
                        const Place a = rolled(query), b = rolled(key);
                        const int64_t offset = (a.y - b.y + size[0] - 1) * (2 * size[1] - 1) + a.x - b.x + size[1] - 1;
                        return 0.4 * dot(x.q, x.k, n, query, key, head * depth, depth) +
                               table.data[static_cast<size_t>(offset * heads + head)];
                      },
                      [&](Place query, Place key) {
                        const Place a = rolled(query), b = rolled(key);
                        return a.y / size[0] == b.y / size[0] && a.x / size[1] == b.x / size[1] &&
                               came_round(query) == came_round(key);
                      }};
    Attention op = attention(heads, depth, 0.4);
    op.windows = Windows{.size = size, .shift = shift, .rolled = {height, width}};
    op.bias = RelativeBias{.grid = size, .table = 0};
    FixedParameters parameters{table};
    const auto kernel = make_kernel(op, parameters);
    CHECK(difference(run_kernel(*kernel, x.tensors, x.tensors[0].shape), naive(x.q, x.v, 2)) < attention_tolerance);
  }
}

TEST_CASE("rows of padding are not rolled") {
  // 5 rows, of which 4 are the image, in windows of one row less than... 5 × 1: rolled by 2, row i shows row (i + 2)
  // % 4.
  const Qkv x({1, 6, 2, 3}, {1, 6, 2, 3});
  const FloatTensor none = random_tensor({5 * 3, 1}, 4);
  const auto place = [](int64_t y) { return y < 4 ? (y + 2) % 4 : y; };  // of what a rolled row shows
  const Naive naive{1, 3,
                    [&](int64_t, int64_t n, Place a, Place b) {
                      int64_t from = 0, to = 0;
                      for (int64_t y = 0; y < 6; ++y) {
                        if (place(y) == a.y) from = y;
                        if (place(y) == b.y) to = y;
                      }
                      const int64_t offset = (from - to + 2) * 3 + a.x - b.x + 1;
                      return dot(x.q, x.k, n, a, b, 0, 3) + none.data[static_cast<size_t>(offset)];
                    },
                    [&](Place a, Place b) {
                      const auto window = [&](Place p) {
                        for (int64_t y = 0; y < 6; ++y)
                          if (place(y) == p.y) return std::pair{y / 3, y < 3 ? 0 : y < 4 ? 1 : 2};
                        return std::pair{int64_t{0}, 0};
                      };
                      return window(a) == window(b);
                    }};
  Attention op = attention(1, 3, 1);
  op.windows = Windows{.size = {3, 2}, .shift = {2, 0}, .rolled = {4, 2}};
  op.bias = RelativeBias{.grid = {3, 2}, .table = 0};
  FixedParameters parameters{none};
  CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, x.tensors[0].shape), naive(x.q, x.v, 1)) <
        attention_tolerance);
}

TEST_CASE("a token before the grid has biases of its own, and distances may stand for offsets") {
  const int64_t tokens = 7, depth = 4;  // one, then a grid of 2 × 3
  const Qkv x({1, tokens, depth}, {1, tokens, depth});
  const FloatTensor table = random_tensor({3 * 5 + 3, 1}, 4), distances = random_tensor({1, 6}, 5);
  const auto everywhere = [](Place, Place) { return true; };
  const Naive naive{1, depth,
                    [&](int64_t, int64_t n, Place a, Place b) {
                      const int64_t i = a.x - 1, j = b.x - 1;
                      int64_t offset = (i / 3 - j / 3 + 1) * 5 + i % 3 - j % 3 + 2;
                      if (a.x == 0) offset = b.x == 0 ? 17 : 15;
                      if (a.x > 0 && b.x == 0) offset = 16;
                      return 0.5 * dot(x.q, x.k, n, a, b, 0, depth) + table.data[static_cast<size_t>(offset)];
                    },
                    everywhere};
  Attention op = attention(1, depth, 0.5);
  op.bias = RelativeBias{.grid = {2, 3}, .prefix = 1, .table = 0};
  FixedParameters parameters{table, distances};
  CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, x.tensors[0].shape), naive(x.q, x.v, 1)) <
        attention_tolerance);

  const Qkv y({1, 6, depth}, {1, 6, depth});
  const Naive symmetric{1, depth,
                        [&](int64_t, int64_t n, Place a, Place b) {
                          const int64_t far = std::abs(a.x / 3 - b.x / 3) * 3 + std::abs(a.x % 3 - b.x % 3);
                          return 0.5 * dot(y.q, y.k, n, a, b, 0, depth) + distances.data[static_cast<size_t>(far)];
                        },
                        everywhere};
  op.bias = RelativeBias{.grid = {2, 3}, .table = 1, .symmetric = true};
  CHECK(difference(run_kernel(*make_kernel(op, parameters), y.tensors, y.tensors[0].shape), symmetric(y.q, y.v, 1)) <
        attention_tolerance);
}

TEST_CASE("one window's queries ask in all, and heads may take turns at the channels") {
  const int64_t heads = 2, depth = 3;
  const Qkv x({2, 2, 3, heads * depth}, {2, 4, 6, heads * depth});
  FloatTensor repeated{{2, 4, 6, heads * depth}, {}};  // the queries of each pixel
  for (int64_t i = 0; i < 2 * 4 * 6 * heads * depth; ++i) {
    const int64_t c = i % (heads * depth), column = i / (heads * depth) % 6, row = i / (6 * heads * depth) % 4;
    repeated.data.push_back(static_cast<float>(x.q.at(i / (24 * heads * depth), {row % 2, column % 3}, c)));
  }
  const Pixels q{repeated};
  const Naive naive{
      heads, depth,
      [&](int64_t head, int64_t n, Place a, Place b) { return 0.5 * dot(q, x.k, n, a, b, head * depth, depth); },
      [](Place a, Place b) { return a.y / 2 == b.y / 2 && a.x / 3 == b.x / 3; }};
  const std::vector<double> by_head = naive(q, x.v, 2);
  std::vector<double> by_channel(by_head.size());
  for (size_t i = 0; i < by_head.size(); ++i) {
    const size_t c = i % 6;
    by_channel[i - c + c % 3 * 2 + c / 3] = by_head[i];
  }
  Attention op = attention(heads, depth, 0.5);
  op.windows = Windows{.size = {2, 3}, .shares_queries = true};
  FixedParameters parameters{};
  for (const bool interleaved : {false, true}) {
    CAPTURE(interleaved);
    op.interleaved = interleaved;
    CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, repeated.shape),
                     interleaved ? by_channel : by_head) < attention_tolerance);
  }
}

TEST_CASE("queries of every second row and column have the biases of their places") {
  const int64_t depth = 4;  // 3 × 5 pixels, of which 2 × 3 ask
  const Qkv x({1, 6, depth}, {1, 15, depth});
  const FloatTensor distances = random_tensor({1, 15}, 4);
  const Naive naive{1, depth,
                    [&](int64_t, int64_t n, Place a, Place b) {
                      const int64_t far = std::abs(a.x / 3 * 2 - b.x / 5) * 5 + std::abs(a.x % 3 * 2 - b.x % 5);
                      return 0.5 * dot(x.q, x.k, n, a, b, 0, depth) + distances.data[static_cast<size_t>(far)];
                    },
                    [](Place, Place) { return true; }};
  Attention op = attention(1, depth, 0.5);
  op.bias = RelativeBias{.grid = {3, 5}, .table = 0, .symmetric = true, .stride = 2};
  FixedParameters parameters{distances};
  CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, x.tensors[0].shape), naive(x.q, x.v, 1)) <
        attention_tolerance);
}

TEST_CASE("cosine attention takes directions, and biases that an MLP computes of offsets") {
  const int64_t heads = 2, depth = 6, hidden = 7;
  const Qkv x({2, 4, 6, heads * depth}, {2, 4, 6, heads * depth});
  const FloatTensor scales = random_tensor({heads}, 4, 4), w1 = random_tensor({hidden, 2}, 5),
                    b1 = random_tensor({hidden}, 6), w2 = random_tensor({heads, hidden}, 7),
                    b2 = random_tensor({heads}, 8);
  for (const bool log2 : {true, false}) {
    CAPTURE(log2);
    const auto coordinate = [&](int64_t d, int64_t unit) {
      const double far = std::abs(static_cast<double>(d));
      const double value = log2 ? std::log2(far * 8 / static_cast<double>(unit) + 1) / std::log2(8) : std::log(1 + far);
      return d < 0 ? -value : value;
    };
    const auto bias = [&](int64_t head, Place a, Place b) {
      const double at[] = {coordinate(a.y - b.y, 5), coordinate(a.x - b.x, 2)};
      double sum = log2 ? 0 : b2.data[static_cast<size_t>(head)];
      for (int64_t i = 0; i < hidden; ++i) {
        const auto k = static_cast<size_t>(i);
        sum += w2.data[static_cast<size_t>(head * hidden) + k] *
               std::max(0.0, w1.data[2 * k] * at[0] + w1.data[2 * k + 1] * at[1] + b1.data[k]);
      }
      return log2 ? 16 / (1 + std::exp(-sum)) : sum;
    };
    const Naive naive{heads, depth,
                      [&](int64_t head, int64_t n, Place a, Place b) {
                        const double lengths = std::sqrt(dot(x.q, x.q, n, a, a, head * depth, depth) *
                                                         dot(x.k, x.k, n, b, b, head * depth, depth));
                        const double scale = std::min(100.0, std::exp(double{scales.data[static_cast<size_t>(head)]}));
                        return scale * dot(x.q, x.k, n, a, b, head * depth, depth) / lengths + bias(head, a, b);
                      },
                      [](Place a, Place b) { return a.y / 2 == b.y / 2 && a.x / 3 == b.x / 3; }};
    Attention op = attention(heads, depth, 1);
    op.windows = Windows{.size = {2, 3}};
    op.logit_scale = 0;
    op.bias = RelativeBias{.grid = {2, 3}};
    op.bias->mlp = RelativeBias::Mlp{.weight1 = 1, .bias1 = 2, .weight2 = 3, .bias2 = log2 ? no_id : 4};
    if (log2) op.bias->mlp->unit = {5, 2};
    FixedParameters parameters{scales, w1, b1, w2, b2};
    CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, x.tensors[0].shape), naive(x.q, x.v, 2)) <
          2e-5);  // scales of up to 100 magnify the rounding of directions
  }
}

TEST_CASE("queries of a smaller image attend to the window around them, biased by products with offsets") {
  const int64_t heads = 2, depth = 4;
  const Qkv x({2, 2, 4, heads * depth}, {2, 4, 8, heads * depth});
  const FloatTensor rows = random_tensor({7, depth}, 4), columns = random_tensor({7, depth}, 5);
  const auto product = [&](const FloatTensor& learned, int64_t head, int64_t n, Place query, int64_t offset) {
    double sum = 0;
    for (int64_t d = 0; d < depth; ++d)
      sum += x.q.at(n, query, head * depth + d) * learned.data[static_cast<size_t>(offset * depth + d)];
    return sum;
  };
  for (const Size2d& size : {Size2d{4, 4}, Size2d{0, 0}}) {
    // In windows of 4 × 4, and of their queries 2 × 2; all of the image has twice the columns, so that those are
    // resampled.
    const bool all = size[0] == 0;
    FloatTensor wide{{15, depth}, {}};
    for (int64_t i = 0; i < 15; ++i)
      for (int64_t d = 0; d < depth; ++d) {
        const double at = std::max(0.0, 7.0 / 15 * (static_cast<double>(i) + 0.5) - 0.5);
        const auto low = static_cast<int64_t>(at), high = std::min<int64_t>(low + 1, 6);
        const double part = at - static_cast<double>(low);
        wide.data.push_back(static_cast<float>((1 - part) * columns.data[static_cast<size_t>(low * depth + d)] +
                                               part * columns.data[static_cast<size_t>(high * depth + d)]));
      }
    const Naive naive{heads, depth,
                      [&](int64_t head, int64_t n, Place a, Place b) {
                        const int64_t keys = all ? 8 : 4;
                        const int64_t row = 2 * a.y - b.y + 3,
                                      column = all ? 2 * a.x - b.x + keys - 1 : 2 * (a.x % 2) - b.x % 4 + 3;
                        return 0.3 * dot(x.q, x.k, n, a, b, head * depth, depth) + product(rows, head, n, a, row) +
                               product(all ? wide : columns, head, n, a, column);
                      },
                      [&](Place a, Place b) { return all || a.x / 2 == b.x / 4; }};
    Attention op = attention(heads, depth, 0.3);
    op.windows = Windows{.size = size};
    op.products = OffsetProducts{.rows = 0, .columns = 1};
    FixedParameters parameters{rows, columns};
    CHECK(difference(run_kernel(*make_kernel(op, parameters), x.tensors, x.tensors[0].shape), naive(x.q, x.v, 2)) <
          attention_tolerance);
  }
}

TEST_CASE("heads are turned by the angles of a pixel's place, but for tokens before the grid") {
  const int64_t heads = 2, depth = 8, height = 2, width = 3, tokens = height * width + 1;
  const Qkv x({1, tokens, heads * depth}, {1, tokens, heads * depth});
  const FloatTensor frequencies = random_tensor({2, 2, heads, depth / 2}, 4);  // of two blocks, the second of them here
  struct Case {
    RotaryTable table;
    std::function<double(int64_t head, int64_t pair, double y, double x)> angle;
  };
  const Case cases[] = {
      {{.kind = RotaryTable::Kind::index, .depth = depth, .temperature = 100, .offset = 1, .reference = {4, 4}},
       [](int64_t, int64_t pair, double row, double column) {
         const double place = pair < 2 ? (row + 1) / 2 * 4 : (column + 1) / 3 * 4;
         return place / std::pow(100, static_cast<double>(pair % 2) / 2);
       }},
      {{.kind = RotaryTable::Kind::centered, .depth = depth, .temperature = 100, .halves = true},
       [](int64_t, int64_t pair, double row, double column) {
         const double place = 2 * (pair < 2 ? (row + 0.5) / 2 : (column + 0.5) / 3) - 1;
         return 2 * M_PI * place / std::pow(100, static_cast<double>(pair % 2) / 2);
       }},
      {{.kind = RotaryTable::Kind::mixed, .depth = depth, .columns_first = true, .frequencies = 0, .sets = 2 * heads},
       [&](int64_t head, int64_t pair, double row, double column) {
         const auto at = [&](int64_t axis) {
           return double{frequencies.data[static_cast<size_t>(((axis * 2 + 1) * heads + head) * depth / 2 + pair)]};
         };
         return column * at(0) + row * at(1);
       }},
  };
  for (const Case& test : cases) {
    const RotaryTable& table = test.table;
    CAPTURE(static_cast<int>(table.kind));
    FixedParameters parameters{frequencies};
    const FloatTensor image = random_tensor({1, height, width, 5}, 5);
    const FloatTensor turns =
        run_kernel(*make_kernel(table, parameters), {&image, 1}, {table.sets, height * width, 2 * depth});
    const bool mixed = table.kind == RotaryTable::Kind::mixed, halves = table.halves;
    Attention op = attention(heads, depth, 0.4);
    op.rotary = Attention::Rotary{.prefix = 1, .first = mixed ? heads : 0, .each_head = mixed, .halves = halves};
    const FloatTensor inputs[] = {x.tensors[0], x.tensors[1], x.tensors[2], turns};

    const auto turned = [&](const Pixels& value, int64_t head, Place p) {
      std::vector<double> y;
      for (int64_t c = 0; c < depth; ++c) {
        const int64_t pair = halves ? c % (depth / 2) : c / 2;
        const bool second = halves ? c >= depth / 2 : c % 2 == 1;
        const int64_t partner = halves ? (c + depth / 2) % depth : c + (second ? -1 : 1);
        const double own = value.at(0, p, head * depth + c), other = value.at(0, p, head * depth + partner);
        const double a = p.x == 0 ? 0
                                  : test.angle(head, pair, static_cast<double>((p.x - 1) / width),
                                               static_cast<double>((p.x - 1) % width));
        y.push_back(own * std::cos(a) + (second ? other : -other) * std::sin(a));
      }
      return y;
    };
    const Naive naive{heads, depth,
                      [&](int64_t head, int64_t, Place a, Place b) {
                        const auto q = turned(x.q, head, a), k = turned(x.k, head, b);
                        double sum = 0;
                        for (size_t c = 0; c < q.size(); ++c) sum += q[c] * k[c];
                        return 0.4 * sum;
                      },
                      [](Place, Place) { return true; }};
    CHECK(difference(run_kernel(*make_kernel(op, parameters), inputs, x.tensors[0].shape), naive(x.q, x.v, 1)) <
          attention_tolerance);
  }
}

}  // namespace
}  // namespace wimm::testing
