// wimm-pack: makes wimm packs of checkpoints, and looks into weight files.
#include <csignal>
#include <exception>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "commands.h"
#include "wimm/error.h"

namespace {

constexpr std::string_view kUsage =
    "usage: wimm-pack convert --model NAME [--dtype float32|float16|int8] [--key KEY] IN -o OUT.wimm\n"
    "       wimm-pack inspect FILE [--json] [--key KEY]\n"
    "       wimm-pack verify FILE [--key KEY]\n"
    "\n"
    "convert  repacks the weights of timm's model NAME (an architecture or arch.tag) from safetensors, a PyTorch\n"
    "         checkpoint (.pth, .pt, .bin) or another pack; with float16 the larger tensors take half the space\n"
    "inspect  lists what a file of any of these formats holds\n"
    "verify   checks structure and checksums, and of a pack that every parameter of its model is there\n"
    "\n"
    "--key takes the tensors of a PyTorch checkpoint from under KEY, such as model_ema, or with '' from its top; "
    "without\n"
    "it they are under state_dict_ema, model_ema, state_dict or model, the first that is there, else at the top.\n"
    "\n"
    "Exit status: 0, 1 (failed), 2 (wrong usage).\n";

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The arguments behind the command; an option's value follows it.
struct Arguments {
  std::vector<std::string> files;
  std::optional<std::string> model, dtype, key, output;
  bool json = false;
};

Arguments parse(const std::vector<std::string>& words) {
  Arguments arguments;
  for (size_t i = 2; i < words.size(); ++i) {
    const std::string& word = words[i];
    std::optional<std::string>* value = word == "--model"                    ? &arguments.model
                                        : word == "--dtype"                  ? &arguments.dtype
                                        : word == "--key"                    ? &arguments.key
                                        : word == "-o" || word == "--output" ? &arguments.output
                                                                             : nullptr;
    if (value != nullptr) {
      if (++i == words.size()) throw UsageError(word + " needs a value");
      *value = words[i];
    } else if (word == "--json") {
      arguments.json = true;
    } else if (word.starts_with('-')) {
      throw UsageError("unknown option " + word);
    } else {
      arguments.files.push_back(word);
    }
  }
  if (arguments.files.size() != 1) throw UsageError("wanted one input file");
  return arguments;
}

void run(const std::vector<std::string>& words) {
  const std::string& command = words[1];
  const Arguments arguments = parse(words);
  const bool converts = arguments.model || arguments.dtype || arguments.output;
  if (command == "convert") {
    if (!arguments.model || !arguments.output || arguments.json) throw UsageError("convert needs --model and -o");
    const std::map<std::string, wimm::DType> dtypes = {
        {"float32", wimm::DType::float32}, {"float16", wimm::DType::float16}, {"int8", wimm::DType::int8}};
    const auto dtype = dtypes.find(arguments.dtype.value_or("float32"));
    if (dtype == dtypes.end()) throw UsageError("--dtype is float32, float16 or int8");
    wimm::convert({arguments.files[0], *arguments.output, *arguments.model, dtype->second, arguments.key});
  } else if (command == "inspect" && !converts) {
    wimm::inspect(arguments.files[0], arguments.json, arguments.key);
  } else if (command == "verify" && !converts && !arguments.json) {
    wimm::verify(arguments.files[0], arguments.key);
  } else {
    throw UsageError("no such command, or an option that it does not take");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of writing
  if (words.size() == 2 && (words[1] == "--help" || words[1] == "-h")) {
    std::cout << kUsage;
    return 0;
  }
  try {
    if (words.size() < 2) throw UsageError("no command");
    run(words);
    if (!std::cout.flush()) throw std::runtime_error("cannot write to stdout");
    return 0;
  } catch (const UsageError& error) {
    std::cerr << "wimm-pack: " << error.what() << '\n' << kUsage;
    return 2;
  } catch (const wimm::Error& error) {
    std::cerr << "wimm-pack: " << wimm::code_name(error.code()) << ": " << error.what() << '\n';
  } catch (const std::exception& error) {
    std::cerr << "wimm-pack: " << error.what() << '\n';
  }
  return 1;
}
