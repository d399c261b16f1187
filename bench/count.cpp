// Prints of each architecture, in timm's order: its name, its parameters, and the multiply-adds of a forward pass of
// one image of its input's size. No weights are needed, nor computed with.
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "graph/passes.h"
#include "graph/shapes.h"
#include "models/families.h"
#include "wimm/catalogue.h"

using namespace wimm;

namespace {

double parameters_of(const Graph& graph) {
  double count = 0;
  for (const Parameter& parameter : graph.parameters)
    if (parameter.init != Init::constant && parameter.dtype == DType::float32 &&
        !parameter.name.ends_with(".running_mean") && !parameter.name.ends_with(".running_var"))
      count += static_cast<double>(element_count(parameter.shape));
  return count;
}

double multiply_adds_of(Network& network, const Shape& image) {
  const Graph& graph = network.graph;
  fuse(network, std::span(&network.logits, 1));
  const std::vector<bool> needed = needed_nodes(graph, std::span(&network.logits, 1));
  std::vector<Shape> shapes(graph.nodes.size());
  double count = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    if (!needed[i]) continue;
    const Node& node = graph.nodes[i];
    if (node.inputs.empty()) {
      shapes[i] = image;
      continue;
    }
    std::vector<Shape> inputs;
    for (NodeId input : node.inputs) inputs.push_back(shapes[input]);
    shapes[i] = infer_shape(node, inputs);
    count += multiply_adds(node, inputs, shapes[i]);
  }
  return count;
}

}  // namespace

int main() {
  for (const std::string& name : list_models()) {
    const PretrainedCfg cfg = pretrained_cfg(name);
    const auto [channels, height, width] = cfg.input_size;
    BuildOptions options;
    options.in_chans = channels;
    options.num_classes = cfg.num_classes;
    Network network = build_network(name, options);
    const double parameters = parameters_of(network.graph);
    std::printf("%s %.0f %.0f\n", name.c_str(), parameters, multiply_adds_of(network, {1, height, width, channels}));
  }
}
