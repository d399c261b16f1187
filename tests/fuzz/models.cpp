// Models created from state dicts that fit them more or less, and images prepared for them.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "fuzz/choices.h"
#include "fuzz/targets.h"
#include "models/families.h"
#include "wimm/error.h"
#include "wimm/image.h"
#include "wimm/model.h"

namespace wimm::fuzz {

namespace {

constexpr std::array<std::string_view, 6> kSmall = {"test_resnet", "test_efficientnet", "test_efficientnet_gn",
                                                    "test_vit",    "test_vit3",         "test_efficientnet_evos"};

class MadeUp final : public StateDict {
 public:
  explicit MadeUp(std::vector<TensorInfo> tensors) : tensors_(std::move(tensors)) {}

  std::string_view format() const override { return "made up"; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Tensor read(size_t index) const override {
    const TensorInfo& info = tensors_.at(index);
    Tensor tensor{info.dtype, info.shape, {}};
    tensor.data.resize(static_cast<size_t>(element_count(info.shape)) * size_of(info.dtype));
    for (size_t i = 0; i < tensor.data.size(); ++i) tensor.data[i] = static_cast<std::byte>(i * 37 + index);
    return tensor;
  }

 private:
  std::vector<TensorInfo> tensors_;
};

// What no reader of files would let through is not handed on.
bool is_readable(const TensorInfo& info) {
  try {
    return std::ranges::none_of(info.shape, [](int64_t dim) { return dim < 0; }) &&
           element_count(info.shape) <= 1 << 22;
  } catch (const Error&) {
    return false;
  }
}

void damage(std::vector<TensorInfo>& tensors, Choices& choices) {
  if (tensors.empty()) return;
  const size_t index = choices.below(tensors.size());
  TensorInfo info = tensors[index];
  const size_t axis = info.shape.empty() ? 0 : choices.below(info.shape.size());
  switch (choices.below(8)) {
    case 0:
      tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(index));
      return;
    case 1:
      info.name += choices.flag() ? "x" : ".weight";
      break;
    case 2:
      info.name.resize(choices.below(info.name.size() + 1));
      break;
    case 3:
      info.dtype = static_cast<DType>(choices.below(static_cast<size_t>(DType::boolean) + 1));
      break;
    case 4:
      info.shape.insert(info.shape.begin() + static_cast<std::ptrdiff_t>(axis), choices.size(4));
      break;
    case 5:
      if (!info.shape.empty()) info.shape.erase(info.shape.begin() + static_cast<std::ptrdiff_t>(axis));
      break;
    case 6:
      if (!info.shape.empty()) info.shape[axis] = choices.size(64);
      break;
    default:
      std::ranges::reverse(info.shape);
      break;
  }
  if (is_readable(info)) tensors[index] = info;
}

std::vector<TensorInfo> parameters_of(std::string_view architecture) {
  std::vector<TensorInfo> tensors;
  for (const Parameter& parameter : build_network(architecture, {}).graph.parameters)
    tensors.push_back({parameter.name, parameter.dtype, parameter.shape});
  return tensors;
}

ModelOptions choose_options(Choices& choices) {
  ModelOptions options;
  if (choices.flag()) options.in_chans = choices.size(9);
  if (choices.flag()) options.num_classes = choices.size(20);
  if (choices.flag())
    options.global_pool =
        choices.of(std::array<const char*, 8>{"avg", "max", "avgmax", "", "catavgmax", "token", "map", "none"});
  if (choices.flag()) options.img_size = {choices.size(96), choices.size(96)};
  options.features_only = choices.flag();
  options.strict = !choices.flag();
  options.reset_classifier = choices.flag();
  options.check_finite = choices.flag();
  options.label_offset = choices.flag() ? 1 : 0;
  if (choices.flag()) options.dtype = DType::float16;
  if (choices.flag()) options.out_indices = {choices.between(-6, 6), choices.between(-6, 6)};
  return options;
}

}  // namespace

void model(std::span<const std::byte> bytes) {
  Choices choices(bytes);
  static const std::vector<std::string_view> all = list_buildable_models();
  const bool small = choices.byte() % 4 != 0;
  const std::string_view architecture = small ? choices.of(kSmall) : all[choices.below(all.size())];
  ModelOptions options = choose_options(choices);
  std::vector<TensorInfo> tensors = parameters_of(architecture);
  for (size_t count = choices.below(4); count > 0; --count) damage(tensors, choices);
  const MadeUp weights(std::move(tensors));
  options.weights = &weights;
  try {
    if (check_model(architecture, options) > 64 << 20 || !small) return;
    const auto model = create_model(architecture, options);
    const Shape shape = {choices.between(0, 2), choices.flag() ? choices.size(9) : options.in_chans, choices.size(70),
                         choices.size(70)};
    if (std::ranges::any_of(shape, [](int64_t dim) { return dim < 0 || dim > 256; })) return;
    const std::vector<float> pixels(static_cast<size_t>(element_count(shape)), 0.5f);
    if (options.features_only) {
      model->forward_intermediates({shape, pixels});
    } else {
      model->forward({shape, pixels});
    }
  } catch (const Error&) {
  }
}

void preprocess(std::span<const std::byte> bytes) {
  Choices choices(bytes);
  ImageView image{{}, choices.size(48), choices.size(48), choices.size(5)};
  PreprocessOptions options;
  options.height = choices.size(40), options.width = choices.size(40);
  options.crop_mode = choices.of(std::array{CropMode::center, CropMode::squash, CropMode::border});
  options.interpolation =
      choices.of(std::array{Interpolation::nearest, Interpolation::bilinear, Interpolation::bicubic});
  options.crop_pct = choices.of(std::array{0.875, 1.0, 0.1, 1.5, 1e-9, 0.0, -1.0, 1e300, std::nan("")});
  options.max_pixels = choices.of(std::array<int64_t, 3>{100'000'000, 64, 4096});
  std::vector<uint8_t> pixels;
  if (std::ranges::all_of(std::array{image.width, image.height, image.channels},
                          [](int64_t size) { return size > 0 && size < 256; }))
    pixels.resize(static_cast<size_t>(image.width * image.height * image.channels) + (choices.byte() == 255 ? 1 : 0));
  for (uint8_t& pixel : pixels) pixel = choices.empty() ? 128 : choices.byte();
  image.pixels = pixels;
  try {
    const FloatTensor result = wimm::preprocess(image, options);
    require(result.shape == Shape{image.channels, options.height, options.width});
    require(std::ranges::all_of(result.data, [](float value) { return std::isfinite(value); }));
  } catch (const Error&) {
  }
}

}  // namespace wimm::fuzz
