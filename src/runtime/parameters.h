// Where a model's parameters come from: a checkpoint, adapted to the model, or a random initialisation.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "kernels/kernel.h"
#include "wimm/model.h"
#include "wimm/weights.h"

namespace wimm {

// Random weights as timm initialises them, the same for the same seed and names.
std::vector<float> random_parameter(const Parameter& parameter, uint64_t seed);

// The parameters of one network, read one at a time.
class Parameters final : public ParameterReader {
 public:
  // Matches the network's parameters with `options.weights`, where there are any; only those in `needed` must be there.
  // Errors: state_dict_mismatch (strict), with the full lists.
  Parameters(const Network& network, const ModelOptions& options, std::vector<bool> needed);

  std::vector<float> read(ParameterId id) override;
  ThreadPool& pool() override { return ThreadPool::shared(options_.threads); }
  // Where in the file the bytes lie that `read(id)` needs, or more; both 0 where it reads none.
  ModelLoad::Wanted place(ParameterId id) const;
  const LoadReport& report() const { return report_; }
  // Of those that are needed, in float32.
  uint64_t bytes() const { return bytes_total_; }

 private:
  // How a tensor of the file becomes a parameter.
  enum class Fit : uint8_t { as_is, adapt_input, resample, resample_offsets, drop_rows, none };

  void match();
  Fit fit(const Parameter& parameter, Shape shape) const;
  Tensor resample(const Tensor& tensor, const Parameter& parameter) const;
  std::string mismatch(const Parameter& parameter, const TensorInfo& tensor) const;
  void throw_mismatch() const;
  std::vector<float> read_weights(ParameterId id) const;
  std::vector<float> finish(std::vector<float> values, std::string_view name) const;

  const Network& network_;
  const ModelOptions& options_;
  std::vector<bool> needed_;
  FilteredCheckpoint checkpoint_;
  std::vector<size_t> source_;  // by parameter: index in the checkpoint
  std::vector<Fit> fit_;        // by parameter
  std::vector<bool> was_read_;  // by parameter
  LoadReport report_;
  uint64_t bytes_done_ = 0, bytes_total_ = 0;
};

// What the operation of a node reads.
std::vector<ParameterId> parameters_of(const Op& op);
// For each parameter, whether one of these nodes uses it.
std::vector<bool> needed_parameters(const Graph& graph, const std::vector<bool>& needed_nodes);

}  // namespace wimm
