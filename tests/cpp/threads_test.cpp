// Models that several threads use at once. `npm run test:threads` watches them, and the kernels, for data races.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <new>
#include <string_view>
#include <vector>

#include "kernels/thread_pool.h"
#include "parity/goldens.h"
#include "parity/synthetic.h"
#include "wimm/error.h"
#include "wimm/model.h"

using namespace wimm;
using namespace wimm::parity;

namespace {

constexpr std::array<std::string_view, 5> names = {"test_resnet", "test_efficientnet_gn", "test_vit", "test_coatnet",
                                                   "edgenext_xx_small"};

// The first golden of each name.
std::vector<Golden> select_goldens() {
  const std::vector<Golden> all = read_goldens();
  std::vector<Golden> selected;
  for (const std::string_view name : names) selected.push_back(*std::ranges::find(all, name, &Golden::model));
  return selected;
}

// Creates each model, runs it twice, and disposes of it, the one at `first` first: the largest difference from timm's.
double run_all(const std::vector<Golden>& goldens, size_t first, int threads) {
  double worst = 0;
  for (size_t i = 0; i < goldens.size(); ++i) {
    const Golden& golden = goldens[(first + i) % goldens.size()];
    const SyntheticCheckpoint checkpoint(checkpoint_tensors(golden), golden.gain, golden.dtype);
    ModelOptions options;
    options.in_chans = golden.in_chans;
    options.num_classes = golden.num_classes;
    options.img_size = golden.img_size;
    options.weights = &checkpoint;
    options.threads = threads;
    const auto model = create_model(golden.model, options);
    const FloatTensor x = images(golden.input);
    for (int call = 0; call < 2; ++call)
      worst = std::max(worst, difference(model->forward({x.shape, x.data}), golden.logits));
  }
  return worst;
}

}  // namespace

TEST_CASE("models that are created, run and disposed of in three threads at once give timm's numbers [R26]") {
  const std::vector<Golden> goldens = select_goldens();
  std::vector<std::future<double>> runs;
  for (const int threads : {2, 2, 3})  // two share a pool, of whose threads the third has none
    runs.push_back(std::async(std::launch::async, run_all, std::cref(goldens), runs.size(), threads));
  for (auto& run : runs) CHECK(run.get() < 1e-4);
}

TEST_CASE("what a task throws on any thread of a pool reaches the caller, and the pool works on") {
  for (const int threads : {1, 3}) {
    CAPTURE(threads);
    ThreadPool pool(threads);
    const auto fail = [](int64_t, int64_t) { throw std::bad_alloc(); };
    CHECK_THROWS_AS(pool.parallel_for(100, 1, fail), std::bad_alloc);
    const auto fail_once = [](int64_t begin, int64_t) {
      if (begin == 97) throw Error(ErrorCode::out_of_memory, "the last piece");
    };
    if (threads > 1) CHECK_THROWS_AS(pool.parallel_for(98, 1, fail_once), Error);
    std::atomic<int64_t> sum = 0;
    pool.parallel_for(100, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sum += i;
    });
    CHECK(sum == 4950);
  }
}
