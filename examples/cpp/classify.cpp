// Classifies a photograph with the C++ library:  classify MODEL WEIGHTS PHOTO.ppm
// (a binary PPM of 8 bits: any picture tool writes one, such as `magick photo.jpg photo.ppm`).
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <numeric>

#include "wimm/catalogue.h"
#include "wimm/error.h"
#include "wimm/image.h"
#include "wimm/model.h"
#include "wimm/weights.h"

namespace {

struct Photo {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> pixels;
};

Photo read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int highest = 0;
  Photo photo;
  file >> magic >> photo.width >> photo.height >> highest;
  file.get();
  photo.pixels.assign(std::istreambuf_iterator<char>(file), {});
  if (magic != "P6" || highest != 255 || photo.pixels.size() != static_cast<size_t>(3 * photo.width * photo.height))
    throw wimm::Error(wimm::ErrorCode::image_decode, path + " is not a binary PPM of 8 bits");
  return photo;
}

std::vector<double> softmax(const std::vector<float>& logits) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> probabilities(logits.size());
  std::transform(logits.begin(), logits.end(), probabilities.begin(),
                 [&](float logit) { return std::exp(double{logit} - highest); });
  const double total = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& p : probabilities) p /= total;
  return probabilities;
}

// The transform that the model's weights were evaluated with.
wimm::PreprocessOptions preprocess_options(const wimm::PretrainedCfg& cfg) {
  wimm::PreprocessOptions options;
  options.height = cfg.input_size[1];
  options.width = cfg.input_size[2];
  options.crop_pct = cfg.crop_pct;
  options.crop_mode = wimm::parse_crop_mode(cfg.crop_mode);
  options.interpolation = wimm::parse_interpolation(cfg.interpolation);
  std::copy_n(cfg.mean.begin(), 3, options.mean.begin());
  std::copy_n(cfg.std.begin(), 3, options.std.begin());
  return options;
}

void classify(const std::string& name, const std::string& weights, const std::string& path) {
  const auto state_dict = wimm::load_state_dict(wimm::file_source(weights));
  wimm::ModelOptions options;
  options.weights = state_dict.get();
  const auto model = wimm::create_model(name, options);

  const Photo photo = read_ppm(path);
  wimm::FloatTensor image =
      wimm::preprocess({photo.pixels, photo.width, photo.height, 3}, preprocess_options(wimm::pretrained_cfg(name)));
  image.shape.insert(image.shape.begin(), 1);  // a batch of one
  const std::vector<double> probabilities = softmax(model->forward({image.shape, image.data}).data);

  std::vector<size_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + 5, order.end(),
                    [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
  for (size_t i = 0; i < 5; ++i) std::cout << "class " << order[i] << "  " << probabilities[order[i]] << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: classify MODEL WEIGHTS PHOTO.ppm\n";
    return 2;
  }
  try {
    classify(argv[1], argv[2], argv[3]);
    return 0;
  } catch (const wimm::Error& error) {
    std::cerr << wimm::code_name(error.code()) << ": " << error.what() << '\n';
    return 1;
  }
}
