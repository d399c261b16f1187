// pthreadpool behind ThreadPool.
#include "kernels/thread_pool.h"

#include <pthreadpool.h>

#include <map>
#include <mutex>
#include <string>

#include "wimm/error.h"

namespace wimm {

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
  pthreadpool_parallelize_1d_tile_1d(handle_, task, context, static_cast<size_t>(count), static_cast<size_t>(grain), 0);
}

}  // namespace wimm
