// Creating and running models.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wimm/tensor.h"
#include "wimm/weights.h"

namespace wimm {

struct ModelOptions {
  int64_t in_chans = 3;
  int64_t num_classes = 1000;              // 0 removes the classifier
  std::optional<std::string> global_pool;  // "avg", "max", "avgmax", "" (none), for maps "catavgmax", for tokens
                                           // "token", "map", "prr"; else the model's own
  std::optional<std::array<int64_t, 2>> img_size;  // {height, width}, for models of fixed size: positions are resampled
  // {height, width} that most images will have: what is fastest for those is chosen. Models of fixed size know it.
  std::array<int64_t, 2> image_size{224, 224};
  bool features_only = false;
  std::vector<int64_t> out_indices;  // levels of feature_info, negative from the end; empty: those that timm gives

  const StateDict* weights = nullptr;  // null: random weights from `seed`
  bool pretrained = false;             // the weights are those that timm offers (fbnetc_100's have their own epsilon)
  uint64_t seed = 0;
  bool strict = true;             // missing, unexpected or misshapen parameters are an error
  bool check_finite = false;      // a weight that is NaN or infinite is an error; else it is loaded as it is
  bool reset_classifier = false;  // a classifier of another size in the weights is dropped, and starts random
  int64_t label_offset = 0;  // rows that a checkpoint's classifier has before the first class (1 for 1001-class heads)
  // float16: weights rounded to half precision; int8: 1×1 convolutions and linear layers in integers
  DType dtype = DType::float32;

  bool exact = false;  // true: no Winograd, whose rounding error is larger
  int threads = 1;
  std::function<void(uint64_t done, uint64_t total)> on_progress;  // bytes of parameters loaded; may throw to stop
};

// A parameter or buffer of a model, under timm's name.
struct ParameterInfo {
  std::string name;
  DType dtype;
  Shape shape;
};

// Names of what a state dict lacks or has too much; empty after a strict load.
struct LoadReport {
  std::vector<std::string> missing, unexpected, mismatched;
};

struct LayerProfile {
  std::string name, kind;  // timm's module path; "conv2d", …
  Shape shape;             // of the output, channels-last
  double milliseconds;
  double multiply_adds;
};

// A model with its weights. Not for use by two threads at once.
class Model {
 public:
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model();

  // x [N, C, H, W] → logits [N, num_classes]; [N, C, H, W] or [N, L, C] where neither pool nor classifier remains.
  // Errors: input_shape.
  FloatTensor forward(const FloatView& x);
  // x → the last feature map [N, C, H, W], or a transformer's tokens [N, L, C].
  FloatTensor forward_features(const FloatView& x);
  // What `forward_features` gave → logits, or with pre_logits the pooled features [N, num_features].
  FloatTensor forward_head(const FloatView& features, bool pre_logits = false);
  // x → pooled features [N, num_features].
  FloatTensor embed(const FloatView& x);
  // x → the feature maps of `out_indices`, each [N, C, H, W]; for models made with features_only.
  std::vector<FloatTensor> forward_intermediates(const FloatView& x);
  // As `forward`, timing every layer.
  std::vector<LayerProfile> profile(const FloatView& x);

  // Calls in slices, between which the caller may do other things, or give up. Another call takes the place of one that
  // is not done. Errors: as the calls above; invalid_argument for results before the call is done.
  enum class Call : uint8_t { forward, forward_features, forward_head, pre_logits, embed, forward_intermediates };
  void start(Call call, const FloatView& x);
  // Runs layers, at least one, until all are done (true) or so many milliseconds have passed.
  bool advance(double milliseconds);
  std::vector<FloatTensor> results() const;         // one tensor, or those of forward_intermediates
  std::vector<LayerProfile> layer_profile() const;  // of the layers that are done

  // In timm's order of its state_dict.
  std::vector<ParameterInfo> parameters() const;
  const LoadReport& load_report() const;
  int64_t in_chans() const;
  int64_t num_classes() const;
  int64_t num_features() const;
  // Channels and reduction of each level that features_only gives.
  struct FeatureLevel {
    std::string module;
    int64_t channels, reduction;
  };
  std::vector<FeatureLevel> feature_info() const;
  // Bytes held by packed weights, and by the arena of the last input shape.
  size_t weight_bytes() const;
  size_t arena_bytes() const;

 private:
  friend class ModelLoad;
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Builds `name` (an architecture of timm, such as "resnet34") and fills it with weights.
// Errors: unknown_model, invalid_argument, state_dict_mismatch, weights_nonfinite, out_of_memory, and those of reading
// weights.
std::unique_ptr<Model> create_model(std::string_view name, const ModelOptions& options = {});

// `create_model` in slices.
class ModelLoad {
 public:
  // Builds the network and matches the weights with it, reading the data of none. `options.weights` must outlive the
  // load. Errors: unknown_model, invalid_argument, state_dict_mismatch.
  ModelLoad(std::string_view name, ModelOptions options);
  ModelLoad(const ModelLoad&) = delete;
  ModelLoad& operator=(const ModelLoad&) = delete;
  ~ModelLoad();

  // Of the parameters, in float32.
  uint64_t bytes() const;
  // Of a file that arrives: the next layer needs what comes before `end`, and no layer any more what comes before
  // `begin`. Both are 0 where no layer needs any of it.
  struct Wanted {
    uint64_t begin, end;
  };
  Wanted wanted() const;
  // Loads layers, at least one, until all are there (true), so many milliseconds have passed, or the next one needs
  // more of the file than its first `received` bytes. Errors: weights_nonfinite, out_of_memory, and those of reading
  // weights.
  bool advance(double milliseconds, uint64_t received = whole_file);
  // Runs layers that are there on zeros, for images of `image_size`, at least one, until each has run once (true) or so
  // many milliseconds have passed: what an engine optimises once it runs often is fast when the first image comes.
  bool warm_up(double milliseconds);
  // The model, once; with memory for such images, if `warm_up` ran. Errors: invalid_argument before all layers are
  // there.
  std::unique_ptr<Model> take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Checks what `create_model` checks before it reads the data of a weight, of which it reads none: of `options.weights`
// the head of the file is enough. Gives the bytes of the parameters. Errors: unknown_model, invalid_argument,
// state_dict_mismatch.
uint64_t check_model(std::string_view name, const ModelOptions& options);

// The architectures that `create_model` builds.
std::vector<std::string_view> list_buildable_models();

}  // namespace wimm
