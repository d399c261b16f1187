// Every allocation fails in turn, while weights are read and repacked and while models load and run: wimm_allocations
// [STRIDE] What fails is told by a typed error, nothing of it stays, and the next call gives what it gave before. With
// a stride only each so many-th fails. The linker leads the C functions here (--wrap); C++'s are replaced.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <new>
#include <string>
#include <vector>

#include "models/families.h"
#include "parity/synthetic.h"
#include "weights/pack.h"
#include "wimm/error.h"
#include "wimm/model.h"

namespace {

std::atomic<int64_t> live = 0, asked = 0, failing = -1;  // blocks, allocations, and the one that fails

bool fails() { return asked++ == failing; }

template <class Allocate>
void* count(Allocate&& allocate) {
  void* const block = fails() ? nullptr : allocate();
  if (block) ++live;
  return block;
}

void* required(void* block) { return block ? block : throw std::bad_alloc(); }

}  // namespace

extern "C" {
void* __real_malloc(size_t);
void* __real_calloc(size_t, size_t);
void* __real_realloc(void*, size_t);
void* __real_memalign(size_t, size_t);
void* __real_aligned_alloc(size_t, size_t);
int __real_posix_memalign(void**, size_t, size_t);
void __real_free(void*);

void* __wrap_malloc(size_t bytes) {
  return count([=] { return __real_malloc(bytes); });
}
void* __wrap_calloc(size_t items, size_t bytes) {
  return count([=] { return __real_calloc(items, bytes); });
}
void* __wrap_memalign(size_t alignment, size_t bytes) {
  return count([=] { return __real_memalign(alignment, bytes); });
}
void* __wrap_aligned_alloc(size_t alignment, size_t bytes) {
  return count([=] { return __real_aligned_alloc(alignment, bytes); });
}
int __wrap_posix_memalign(void** block, size_t alignment, size_t bytes) {
  constexpr int out_of_memory = 12;
  *block = count([=] {
    void* memory = nullptr;
    return __real_posix_memalign(&memory, alignment, bytes) == 0 ? memory : nullptr;
  });
  return *block ? 0 : out_of_memory;
}
void* __wrap_realloc(void* block, size_t bytes) {
  if (!block) return __wrap_malloc(bytes);
  return fails() ? nullptr : __real_realloc(block, bytes);
}
void __wrap_free(void* block) {
  if (block) --live;
  __real_free(block);
}
}

void* operator new(size_t bytes) { return required(__wrap_malloc(bytes)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  const auto multiple = static_cast<size_t>(alignment);
  return required(__wrap_aligned_alloc(multiple, (bytes + multiple - 1) / multiple * multiple));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return __wrap_malloc(bytes); }
void* operator new[](size_t bytes) { return operator new(bytes); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return operator new(bytes, alignment); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return __wrap_malloc(bytes); }
void operator delete(void* block) noexcept { __wrap_free(block); }
void operator delete(void* block, size_t) noexcept { __wrap_free(block); }
void operator delete(void* block, std::align_val_t) noexcept { __wrap_free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { __wrap_free(block); }
void operator delete[](void* block) noexcept { __wrap_free(block); }
void operator delete[](void* block, size_t) noexcept { __wrap_free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { __wrap_free(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { __wrap_free(block); }

namespace wimm {
namespace {

using Bytes = std::vector<std::byte>;

Bytes read_file(const std::string& name) {
  std::ifstream stream(WIMM_FAULTS_DIR "/" + name, std::ios::binary);
  const std::string content(std::istreambuf_iterator<char>(stream), {});
  const auto bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

Bytes packed(const StateDict& state_dict) {
  Bytes file;
  const PackContents contents{"model", "{}", state_dict.tensors(), [&](size_t i) { return state_dict.read(i); }};
  write_pack(contents, [&](std::span<const std::byte> part) { file.insert(file.end(), part.begin(), part.end()); });
  return file;
}

// A file read, and written as a pack.
Bytes repack(const Bytes& file) { return packed(*load_state_dict(memory_source(file))); }

struct Trial {
  std::string name;
  ModelOptions options;
  Bytes pack;
};

Trial trial(std::string name, ModelOptions options) {
  std::vector<TensorInfo> tensors;
  for (const Parameter& parameter : build_network(name, {}).graph.parameters)
    if (parameter.init != Init::constant) tensors.push_back({parameter.name, parameter.dtype, parameter.shape});
  Bytes pack = packed(parity::SyntheticCheckpoint(tensors, 1, DType::float32));
  return {std::move(name), options, std::move(pack)};
}

Bytes run(const Trial& trial) {
  const auto weights = load_state_dict(memory_source(trial.pack));
  ModelOptions options = trial.options;
  options.weights = weights.get();
  const auto model = create_model(trial.name, options);
  const std::vector<float> pixels(static_cast<size_t>(options.in_chans) * 64 * 64, 0.5f);
  const FloatTensor logits = model->forward({{1, options.in_chans, 64, 64}, pixels});
  const auto bytes = std::as_bytes(std::span(logits.data));
  return {bytes.begin(), bytes.end()};
}

// What becomes of the work where its allocation `index` fails; empty where that is as it should be.
std::string problem(const std::function<Bytes()>& work, int64_t index, const Bytes& expected) {
  const int64_t before = live;
  std::string problem;
  asked = 0, failing = index;
  try {
    if (work() != expected) problem = "another result";
  } catch (const std::bad_alloc&) {
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) problem = error.what();
  }
  failing = -1;
  const int64_t stay = live - before - (problem.capacity() > std::string().capacity() ? 1 : 0);  // the message is one
  if (stay != 0) problem += " " + std::to_string(stay) + " blocks stay";
  return problem;
}

// Gives the number of problems.
int64_t fail_each(const std::string& title, int64_t stride, const std::function<Bytes()>& work) {
  work();  // what is made once is there
  asked = 0;
  const Bytes expected = work();
  const int64_t allocations = asked;
  int64_t failed = 0, problems = 0;
  for (int64_t index = 0; index < allocations; index += stride, ++failed) {
    const std::string found = problem(work, index, expected);
    if (found.empty()) continue;
    ++problems;
    std::printf("%s, allocation %lld: %s\n", title.c_str(), static_cast<long long>(index), found.c_str());
  }
  if (work() != expected) ++problems, std::printf("%s: another result in the end\n", title.c_str());
  std::printf("%s: %lld of %lld allocations failed in turn\n", title.c_str(), static_cast<long long>(failed),
              static_cast<long long>(allocations));
  return problems;
}

}  // namespace
}  // namespace wimm

int main(int argc, char** argv) {
  using namespace wimm;
  const int64_t stride = argc > 1 ? std::atoll(argv[1]) : 1;
  int64_t problems = 0;
  for (const char* name : {"V01_every_dtype", "V20_deflated", "V20_parts_of_a_deflated_storage", "V18_training_model",
                           "L00_control", "F13_every_dtype"}) {
    const Bytes file = read_file(name);
    problems += fail_each(name, (stride + 6) / 7, [&] { return repack(file); });
  }
  ModelOptions five_channels, sized, quantised;
  five_channels.in_chans = 5, five_channels.threads = 2;
  sized.img_size = {{64, 64}};
  quantised.dtype = DType::int8;
  const Trial trials[] = {trial("test_resnet", five_channels), trial("test_vit", sized),
                          trial("test_efficientnet", quantised)};
  for (const Trial& each : trials) problems += fail_each(each.name, stride, [&] { return run(each); });
  return problems == 0 ? 0 : 1;
}
