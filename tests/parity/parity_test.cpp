// Every architecture gives timm's numbers: logits, features and feature levels of goldens/*.json.
//   wimm_parity [--shard I/N] [--up-to PARAMETERS] [--threads N] [NAME…]     a NAME may begin or end with *
// --up-to selects models of at most so many parameters, and the smallest of each module.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "parity/goldens.h"
#include "parity/synthetic.h"
#include "wimm/model.h"

using namespace wimm;
using namespace wimm::parity;

namespace {

// Of the largest magnitude in timm's tensor. Both sides compute in float32, in different orders.
constexpr double tolerance = 1e-4;

struct Selection {
  std::vector<std::string_view> names;
  size_t shard = 0, shards = 1;
  std::optional<uint64_t> up_to;  // parameters of a model
  int threads = 1;                // that each runs on
};

bool matches(std::string_view name, std::string_view pattern) {
  if (pattern.starts_with('*')) return name.ends_with(pattern.substr(1));
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

// The first case of the smallest model of each module.
std::map<std::string_view, const Golden*> smallest_of_modules(const std::vector<Golden>& goldens) {
  std::map<std::string_view, const Golden*> smallest;
  for (const Golden& golden : goldens) {
    const Golden*& least = smallest[golden.module];
    if (!least || golden.element_count < least->element_count) least = &golden;
  }
  return smallest;
}

std::vector<const Golden*> select(const std::vector<Golden>& goldens, const Selection& selection) {
  const auto smallest = smallest_of_modules(goldens);
  const auto named = [&](const Golden& golden) {
    return selection.names.empty() || std::ranges::any_of(selection.names, [&](std::string_view pattern) {
             return matches(golden.model, pattern);
           });
  };
  std::vector<const Golden*> selected;
  for (const Golden& golden : goldens) {
    const bool small = !selection.up_to || golden.element_count <= *selection.up_to;
    if (named(golden) && (small || smallest.at(golden.module) == &golden)) selected.push_back(&golden);
  }
  return selected;
}

// A model for feature maps is loaded as from a file that arrives, its layers run on zeros in between.
std::unique_ptr<Model> create(const Golden& golden, const StateDict& checkpoint, bool features_only, int threads) {
  ModelOptions options;
  options.in_chans = golden.in_chans;
  options.num_classes = golden.num_classes;
  options.global_pool = golden.global_pool;
  options.img_size = golden.img_size;
  options.weights = &checkpoint;
  options.features_only = features_only;
  options.threads = threads;
  for (size_t i = 0; features_only && i < golden.levels.size(); ++i)
    options.out_indices.push_back(static_cast<int64_t>(i) - static_cast<int64_t>(golden.levels.size()));
  if (!features_only) return create_model(golden.model, options);
  options.image_size = {golden.input[2], golden.input[3]};
  ModelLoad load(golden.model, options);
  while (!load.advance(0)) load.warm_up(0);
  return load.take();
}

void check(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

// The differences from timm, the largest one returned; throws where there is more than a difference.
double run(const Golden& golden, int threads) {
  const std::vector<TensorInfo> tensors = checkpoint_tensors(golden);
  check(digest(tensors) == golden.digest, "the names or shapes of parameters differ from timm's");
  const SyntheticCheckpoint checkpoint(tensors, golden.gain, golden.dtype);
  const FloatTensor input = images(golden.input);
  const FloatView x{input.shape, input.data};

  std::unique_ptr<Model> model = create(golden, checkpoint, false, threads);
  double worst = difference(model->forward(x), golden.logits);
  if (golden.features) {
    const FloatTensor features = model->forward_features(x);
    const Shape& shape = golden.features->shape;
    check(model->num_features() == shape[shape.size() == 3 ? 2 : 1], "the number of features differs from timm's");
    const FloatTensor head = model->forward_head({features.shape, features.data});
    worst = std::max({worst, difference(features, *golden.features), difference(head, golden.logits)});
  }
  if (golden.num_classes == 0) worst = std::max(worst, difference(model->embed(x), golden.logits));
  if (golden.levels.empty()) return worst;

  model.reset();
  const std::unique_ptr<Model> extractor = create(golden, checkpoint, true, threads);
  const std::vector<FloatTensor> levels = extractor->forward_intermediates(x);
  const std::vector<Model::FeatureLevel> info = extractor->feature_info();
  check(levels.size() == golden.levels.size(), "the number of feature levels differs from timm's");
  for (size_t i = 0; i < levels.size(); ++i) {
    const GoldenLevel& level = golden.levels[i];
    check(info[i].module == level.module && info[i].channels == level.channels && info[i].reduction == level.reduction,
          "the feature level " + level.module + " differs from timm's");
    worst = std::max(worst, difference(levels[i], level.tensor));
  }
  return worst;
}

bool report(const Golden& golden, int threads) {
  const auto start = std::chrono::steady_clock::now();
  std::string outcome;
  bool passed = false;
  try {
    const double worst = run(golden, threads);
    passed = worst <= tolerance;
    char text[32];
    std::snprintf(text, sizeof text, "%.1e", worst);
    outcome = text;
  } catch (const std::exception& error) {
    outcome = error.what();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%s %s: %s, %.1f s\n", passed ? "ok  " : "FAIL", title(golden).c_str(), outcome.c_str(), seconds.count());
  std::fflush(stdout);
  return passed;
}

Selection parse(int argc, char** argv) {
  Selection selection;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--shard" && i + 1 < argc) {
      check(std::sscanf(argv[++i], "%zu/%zu", &selection.shard, &selection.shards) == 2 && selection.shards > 0,
            "--shard takes I/N");
    } else if (argument == "--up-to" && i + 1 < argc) {
      selection.up_to = static_cast<uint64_t>(std::strtod(argv[++i], nullptr));
    } else if (argument == "--threads" && i + 1 < argc) {
      selection.threads = std::atoi(argv[++i]);
    } else {
      selection.names.push_back(argument);
    }
  }
  return selection;
}

}  // namespace

int main(int argc, char** argv) try {
  const Selection selection = parse(argc, argv);
  const std::vector<Golden> goldens = read_goldens();
  const std::vector<const Golden*> selected = select(goldens, selection);
  size_t run_count = 0, failed = 0;
  for (size_t i = selection.shard; i < selected.size(); i += selection.shards) {
    ++run_count;
    if (!report(*selected[i], selection.threads)) ++failed;
  }
  std::printf("%zu cases, %zu failed\n", run_count, failed);
  return run_count > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 2;
}
