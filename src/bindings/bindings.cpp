// What JavaScript calls. Exceptions end here: every call that can fail gives {value} or {error}.
#include <emscripten/bind.h>
#include <emscripten/heap.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>

#include "bindings/convert.h"
#include "bindings/js_source.h"
#include "weights/checksum.h"
#include "wimm/image.h"
#include "wimm/model.h"
#include "wimm/self_check.h"

namespace wimm::bindings {
namespace {

using emscripten::val;

std::unique_ptr<StateDict> open(const val& source, const val& key) {
  std::optional<std::string> wrapper;
  if (!key.isUndefined()) wrapper = key.as<std::string>();
  return load_state_dict(std::make_shared<JsSource>(source), {}, wrapper);
}

val failure(const val& error) {
  val result = val::object();
  result.set("error", error);
  return result;
}

val out_of_memory() {
  return failure(to_js(
      Error(ErrorCode::out_of_memory, "WebAssembly memory is exhausted; dispose of models, or use smaller ones")));
}

// {value: work()}, or the error that it threw.
template <class Work>
val guarded(Work&& work) {
  try {
    val result = val::object();
    result.set("value", work());
    return result;
  } catch (const Error& error) {
    return failure(to_js(error));
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::length_error&) {
    return out_of_memory();
  }
}

ModelOptions options_from_js(const val& spec) {
  ModelOptions options;
  options.in_chans = static_cast<int64_t>(spec["inChans"].as<double>());
  options.num_classes = static_cast<int64_t>(spec["numClasses"].as<double>());
  if (const val pool = spec["globalPool"]; !pool.isUndefined()) options.global_pool = pool.as<std::string>();
  const auto size_from_js = [](const val& size) {
    const Shape sides = shape_from_js(size);
    return std::array{sides[0], sides[1]};
  };
  if (const val size = spec["imgSize"]; !size.isUndefined()) options.img_size = size_from_js(size);
  options.image_size = size_from_js(spec["imageSize"]);
  options.features_only = spec["featuresOnly"].as<bool>();
  options.out_indices = shape_from_js(spec["outIndices"]);
  options.seed = static_cast<uint64_t>(spec["seed"].as<double>());
  options.strict = spec["strict"].as<bool>();
  options.check_finite = spec["checkFinite"].as<bool>();
  options.reset_classifier = spec["resetClassifier"].as<bool>();
  options.label_offset = static_cast<int64_t>(spec["labelOffset"].as<double>());
  options.dtype = dtype_from_js(spec["dtype"]);
  options.exact = spec["exact"].as<bool>();
  options.pretrained = spec["pretrained"].as<bool>();
  return options;
}

// A load with the file that it reads.
class Load {
 public:
  Load(const val& spec, const val& source, int threads, const val& on_load) {
    ModelOptions options = options_from_js(spec);
    options.threads = threads;
    options.on_progress = [on_load](uint64_t done, uint64_t total) {
      on_load(static_cast<double>(done), static_cast<double>(total));
    };
    if (!source.isUndefined()) {
      size_ = static_cast<uint64_t>(source["size"].as<double>());
      weights_ = open(source, spec["key"]);
    }
    options.weights = weights_.get();
    load_.emplace(spec["architecture"].as<std::string>(), std::move(options));
  }

  val wanted() const {
    const auto [begin, end] = load_->wanted();
    val range = val::object();
    range.set("begin", static_cast<double>(begin));
    range.set("end", static_cast<double>(std::min(end, size_)));
    return range;
  }
  val advance(double milliseconds, double received) {
    const uint64_t bytes = received < static_cast<double>(size_) ? static_cast<uint64_t>(received) : whole_file;
    return guarded([&] { return val(load_->advance(milliseconds, bytes)); });
  }
  val warm_up(double milliseconds) {
    return guarded([&] { return val(load_->warm_up(milliseconds)); });
  }
  val take() {
    return guarded([&] { return val(load_->take()); });
  }

 private:
  uint64_t size_ = 0;  // of the file
  std::unique_ptr<StateDict> weights_;
  std::optional<ModelLoad> load_;
};

// `source` may be undefined: random weights.
val load_model(const val& spec, const val& source, int threads, const val& on_load) {
  return guarded([&] { return val(std::make_unique<Load>(spec, source, threads, on_load)); });
}

// What `load_model` would refuse at once. Of the file `source` may have the head alone.
val check(const val& spec, const val& source) {
  return guarded([&] {
    ModelOptions options = options_from_js(spec);
    std::unique_ptr<StateDict> weights;
    if (!source.isUndefined()) weights = open(source, spec["key"]);
    options.weights = weights.get();
    const uint64_t bytes = check_model(spec["architecture"].as<std::string>(), options);
    if (bytes > emscripten_get_heap_max())
      throw Error(ErrorCode::out_of_memory, "the model's parameters take " + std::to_string(bytes) +
                                                " bytes, and a WebAssembly memory has at most " +
                                                std::to_string(emscripten_get_heap_max()));
    return val::undefined();
  });
}

Model::Call call_from_js(const std::string& method) {
  if (method == "forwardFeatures") return Model::Call::forward_features;
  if (method == "forwardHead") return Model::Call::forward_head;
  if (method == "preLogits") return Model::Call::pre_logits;
  if (method == "embed") return Model::Call::embed;
  if (method == "forwardIntermediates") return Model::Call::forward_intermediates;
  return Model::Call::forward;
}

val start(Model& model, const std::string& method, const val& data, const val& shape) {
  return guarded([&] {
    const auto count = data["length"].as<size_t>();
    const auto values = std::make_unique_for_overwrite<float[]>(count);
    const std::span floats(values.get(), count);
    copy_from_js(data, floats);
    model.start(call_from_js(method), {shape_from_js(shape), floats});
    return val::undefined();
  });
}

val advance(Model& model, double milliseconds) {
  return guarded([&] { return val(model.advance(milliseconds)); });
}

val results(const Model& model) {
  return guarded([&] { return to_js(model.results()); });
}

val layer_profile(const Model& model) {
  return guarded([&] { return to_js(model.layer_profile()); });
}

val facts(const Model& model) {
  val result = val::object();
  result.set("numFeatures", static_cast<double>(model.num_features()));
  result.set("featureInfo", to_js(model.feature_info()));
  result.set("parameters", to_js(model.parameters()));
  result.set("loadReport", to_js(model.load_report()));
  return result;
}

val model_memory(const Model& model) {
  val result = val::object();
  result.set("weights", static_cast<double>(model.weight_bytes()));
  result.set("arena", static_cast<double>(model.arena_bytes()));
  return result;
}

// The tensors of a file, one at a time.
class StateDictReader {
 public:
  explicit StateDictReader(std::unique_ptr<StateDict> weights) : weights_(std::move(weights)) {}

  // The next tensor, or undefined at the end.
  val next(bool finite) {
    return guarded([&] {
      if (next_ == weights_->tensors().size()) return val::undefined();
      const std::string& name = weights_->tensors()[next_].name;
      const Tensor tensor = weights_->read(next_++);
      if (finite) check_finite(tensor, name);
      val value = to_js(tensor);
      value.set("name", name);
      return value;
    });
  }

 private:
  std::unique_ptr<StateDict> weights_;
  size_t next_ = 0;
};

val open_state_dict(const val& source, const val& key) {
  return guarded([&] { return val(std::make_unique<StateDictReader>(open(source, key))); });
}

// The two sums of a file that arrives.
class FileSums {
 public:
  explicit FileSums(const val& source) : source_(source) {}

  // Adds what has come since, up to the first `received` bytes.
  val advance(double received) {
    return guarded([&] {
      auto end = static_cast<uint64_t>(received);
      if (end < source_.size()) end -= end % sizeof sums_.sum;
      while (done_ < end) {
        const auto piece =
            std::span(buffer_).first(static_cast<size_t>(std::min<uint64_t>(end - done_, buffer_.size())));
        source_.read(done_, piece);
        sums_.add(piece);
        done_ += piece.size();
      }
      return val::undefined();
    });
  }
  val sums() const {
    val result = val::array();
    result.call<void>("push", sums_.sum, sums_.sum_of_sums);
    return result;
  }

 private:
  JsSource source_;
  uint64_t done_ = 0;  // bytes
  std::vector<std::byte> buffer_ = std::vector<std::byte>(size_t{1} << 18);
  Checksum sums_;
};

val open_sums(const val& source) {
  return guarded([&] { return val(std::make_unique<FileSums>(source)); });
}

val check_kernels(int threads) {
  return guarded([&] { return val(self_check(threads)); });
}

val adapt(const val& weight, double in_chans) {
  return guarded([&] { return to_js(adapt_input_conv(tensor_from_js(weight), static_cast<int64_t>(in_chans))); });
}

std::array<double, 3> triple_from_js(const val& array) {
  return {array[0].as<double>(), array[1].as<double>(), array[2].as<double>()};
}

int64_t integer_from_js(const val& number) { return static_cast<int64_t>(number.as<double>()); }

// The pixels of an image with so many channels: what has to be converted comes over in parts.
std::vector<uint8_t> pixels_from_js(const val& image, int64_t channels) {
  constexpr size_t part_pixels = 1 << 16;
  const val data = image["data"];
  const int64_t from_channels = integer_from_js(image["channels"]);
  if (from_channels == channels) return bytes_from_js(data);
  convert_pixels({}, from_channels, {}, channels);  // an error comes before memory is taken
  const auto from_step = static_cast<size_t>(from_channels), to_step = static_cast<size_t>(channels);
  const size_t pixels = data["length"].as<size_t>() / from_step;
  std::vector<uint8_t> converted(pixels * to_step);
  for (size_t done = 0; done < pixels; done += part_pixels) {
    const size_t end = std::min(pixels, done + part_pixels);
    const std::vector<uint8_t> part = bytes_from_js(data.call<val>("subarray", done * from_step, end * from_step));
    convert_pixels(part, from_channels, std::span(converted).subspan(done * to_step), channels);
  }
  return converted;
}

val preprocess_image(const val& image, const val& spec) {
  return guarded([&] {
    const auto integer = integer_from_js;
    const int64_t channels = integer(spec["channels"]);
    const std::vector<uint8_t> pixels = pixels_from_js(image, channels);
    const ImageView view{pixels, integer(image["width"]), integer(image["height"]), channels};
    return to_js(preprocess(view, {.height = integer(spec["height"]),
                                   .width = integer(spec["width"]),
                                   .crop_pct = spec["cropPct"].as<double>(),
                                   .crop_mode = parse_crop_mode(spec["cropMode"].as<std::string>()),
                                   .interpolation = parse_interpolation(spec["interpolation"].as<std::string>()),
                                   .mean = triple_from_js(spec["mean"]),
                                   .std = triple_from_js(spec["std"])}));
  });
}

// Bytes that the memory has, and that are allocated in it.
val memory() {
  val result = val::object();
  result.set("heap", static_cast<double>(emscripten_get_heap_size()));
  result.set("used", static_cast<double>(static_cast<uint32_t>(mallinfo().uordblks)));
  return result;
}

EMSCRIPTEN_BINDINGS(wimm) {
  emscripten::class_<Model>("Model")
      .function("start", &start)
      .function("advance", &advance)
      .function("results", &results)
      .function("layerProfile", &layer_profile)
      .function("facts", &facts)
      .function("memory", &model_memory);
  emscripten::class_<Load>("Load")
      .function("wanted", &Load::wanted)
      .function("advance", &Load::advance)
      .function("warmUp", &Load::warm_up)
      .function("take", &Load::take);
  emscripten::class_<StateDictReader>("StateDictReader").function("next", &StateDictReader::next);
  emscripten::function("loadModel", &load_model);
  emscripten::function("checkModel", &check);
  emscripten::class_<FileSums>("FileSums").function("advance", &FileSums::advance).function("sums", &FileSums::sums);
  emscripten::function("openStateDict", &open_state_dict);
  emscripten::function("openSums", &open_sums);
  emscripten::function("selfCheck", &check_kernels);
  emscripten::function("adaptInputConv", &adapt);
  emscripten::function("preprocess", &preprocess_image);
  emscripten::function("memory", &memory);
}

}  // namespace
}  // namespace wimm::bindings
