// pthreadpool behind ThreadPool.
#include "kernels/thread_pool.h"

#include <pthreadpool.h>

#include <exception>
#include <map>
#include <mutex>
#include <string>

#include "wimm/error.h"

namespace wimm {

namespace {

// A task that several threads run: its first exception, such as for want of memory, waits for the thread that asked for
// it, since it must not leave pthreadpool's functions.
struct SharedTask {
  void (*task)(void*, size_t, size_t);
  void* context;
  std::mutex mutex{};
  std::exception_ptr failure{};

  static void run(void* self, size_t begin, size_t size) {
    auto& shared = *static_cast<SharedTask*>(self);
    try {
      shared.task(shared.context, begin, size);
    } catch (...) {
      const std::lock_guard lock(shared.mutex);
      if (!shared.failure) shared.failure = std::current_exception();
    }
  }
};

}  // namespace

ThreadPool& ThreadPool::shared(int threads) {
  static std::mutex mutex;
  static std::map<int, ThreadPool> pools;
  const std::lock_guard lock(mutex);
  return pools.try_emplace(threads, threads).first->second;
}

ThreadPool::ThreadPool(int threads) {
  if (threads <= 1) return;
  handle_ = pthreadpool_create(static_cast<size_t>(threads));
  if (!handle_)
    throw Error(ErrorCode::out_of_memory, "cannot start " + std::to_string(threads) + " threads; use fewer");
}

ThreadPool::~ThreadPool() {
  if (handle_) pthreadpool_destroy(handle_);
}

int ThreadPool::size() const { return handle_ ? static_cast<int>(pthreadpool_get_threads_count(handle_)) : 1; }

void ThreadPool::run(int64_t count, int64_t grain, void (*task)(void*, size_t, size_t), void* context) {
  if (count <= 0) return;
  if (!handle_ || count <= grain) return task(context, 0, static_cast<size_t>(count));
  SharedTask shared{task, context};
  pthreadpool_parallelize_1d_tile_1d(handle_, SharedTask::run, &shared, static_cast<size_t>(count),
                                     static_cast<size_t>(grain), 0);
  if (shared.failure) std::rethrow_exception(shared.failure);
}

}  // namespace wimm
