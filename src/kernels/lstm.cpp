// Long short-term memory along the rows or columns of images.
#include <algorithm>

#include "kernels/attention_tiles.h"
#include "kernels/gemm.h"
#include "kernels/kernel.h"

namespace wimm {
namespace {

// One way along the lines. The inputs' part of the gates is computed for a whole line at once, the memory's step by
// step.
struct Direction {
  Direction(const Lstm::Weights& ids, int64_t channels, int64_t hidden, ParameterReader& reader)
      : inputs(4 * hidden, channels),
        columns(round_up(4 * hidden, tile_columns)),
        recurrent(static_cast<size_t>(hidden * columns)) {
    inputs.pack(read_inputs(ids, reader), reader.pool());
    const std::vector<float> weight = reader.read(ids.weight_hh);
    for (int64_t gate = 0; gate < 4 * hidden; ++gate)
      for (int64_t c = 0; c < hidden; ++c) recurrent[c * columns + gate] = weight[gate * hidden + c];
  }

  static FoldedWeights read_inputs(const Lstm::Weights& ids, ParameterReader& reader) {
    FoldedWeights weights{reader.read(ids.weight_ih), reader.read(ids.bias_ih)};
    const std::vector<float> more = reader.read(ids.bias_hh);
    for (size_t i = 0; i < more.size(); ++i) weights.bias[i] += more[i];
    return weights;
  }

  Gemm inputs;
  int64_t columns;
  std::vector<float> recurrent;  // [hidden, columns], of which 4 · hidden are gates
};

// Each task takes four lines one way.
class LstmKernel final : public Kernel {
 public:
  LstmKernel(const Lstm& op, int64_t channels, ParameterReader& reader)
      : op_(op),
        channels_(channels),
        directions_{{op.forward, channels, op.hidden, reader}, {op.backward, channels, op.hidden, reader}} {}

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    const int64_t height = output[1], width = output[2];
    lines_a_image_ = op_.vertical ? width : height;
    length_ = op_.vertical ? height : width;
    lines_ = output[0] * lines_a_image_;
    step_ = op_.vertical ? width : 1;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t tiles = round_up(lines_, tile_rows) / tile_rows;
    pool.parallel_for(2 * tiles, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) follow(i / tiles, i % tiles * tile_rows, inputs[0], output);
    });
  }

  size_t weight_bytes() const override {
    size_t bytes = 0;
    for (const Direction& each : directions_)
      bytes += each.inputs.weight_bytes() + each.recurrent.size() * sizeof(float);
    return bytes;
  }

 private:
  // Where pixel `i` of a line is.
  int64_t pixel(int64_t line, int64_t i) const {
    const int64_t image = line / lines_a_image_, in_image = line % lines_a_image_;
    return image * lines_a_image_ * length_ + in_image * (op_.vertical ? 1 : length_) + i * step_;
  }

  void follow(int64_t way, int64_t first, const float* x, float* output) const {
    const Direction& direction = directions_[way];
    const int64_t hidden = op_.hidden, gates = 4 * hidden, row = round_up(hidden, 4);
    std::vector<float> from_inputs(static_cast<size_t>(tile_rows * length_ * gates + 4)),
        from_memory(static_cast<size_t>(tile_rows * direction.columns + 4)), h(static_cast<size_t>(tile_rows * row)),
        c(h.size());
    const float* rows[tile_rows];
    for (int64_t r = 0; r < tile_rows; ++r) {
      const int64_t line = std::min(first + r, lines_ - 1);  // a last tile may compute a line again
      for (int64_t i = 0; i < length_; i += Gemm::most_rows)
        direction.inputs.multiply(x + pixel(line, i) * channels_, step_ * channels_,
                                  std::min(Gemm::most_rows, length_ - i), &from_inputs[(r * length_ + i) * gates],
                                  gates);
      rows[r] = &h[r * row];
    }
    for (int64_t i = 0; i < length_; ++i) {
      const int64_t at = way == 0 ? i : length_ - 1 - i;
      if (i > 0) multiply_rows(rows, hidden, direction.recurrent.data(), direction.columns, from_memory.data());
      for (int64_t r = 0; r < tile_rows; ++r) {
        remember(&from_inputs[(r * length_ + at) * gates], &from_memory[r * direction.columns], &c[r * row],
                 &h[r * row]);
        if (first + r < lines_)
          std::copy_n(&h[r * row], hidden, output + pixel(first + r, at) * 2 * hidden + way * hidden);
      }
    }
  }

  // c = forget · c + input · cell, h = output · tanh(c); the gates lie one behind the other: input, forget, cell,
  // output.
  void remember(const float* from_inputs, const float* from_memory, float* c, float* h) const {
    const int64_t hidden = op_.hidden;
    for (int64_t i = 0; i < hidden; i += 4) {
      const auto gate = [&](int64_t k) {
        return load(from_inputs + k * hidden + i) + load(from_memory + k * hidden + i);
      };
      const f32x4 memory = sigmoid(gate(1)) * load(c + i) + sigmoid(gate(0)) * tanh(gate(2));
      store(c + i, memory);
      store(h + i, sigmoid(gate(3)) * tanh(memory));
    }
  }

  Lstm op_;
  int64_t channels_;
  Direction directions_[2];
  int64_t lines_a_image_ = 0, lines_ = 0, length_ = 0, step_ = 0;  // pixels from one of a line to the next
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const Lstm& op, int64_t channels, ParameterReader& reader) {
  return std::make_unique<LstmKernel>(op, channels, reader);
}

}  // namespace wimm
