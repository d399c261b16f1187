// Threads that share the work of one kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

struct pthreadpool;

namespace wimm {

class ThreadPool {
 public:
  // The pool of so many threads that all share. It lives as long as the program, since in WebAssembly a thread can
  // neither start nor end while the one that waits for it is busy.
  static ThreadPool& shared(int threads);

  // One thread means the caller's own.
  explicit ThreadPool(int threads);
  ~ThreadPool();

  int size() const;
  // XNNPACK's view of the pool; null for one thread.
  pthreadpool* handle() const { return handle_; }

  // Calls task(begin, end) for pieces of at most `grain` that cover [0, count), on all threads, or for all of it at
  // once where there is but one; returns when all are done. An exception that a piece ends with is thrown then, the
  // first of them; the other pieces run nevertheless.
  template <class Task>
  void parallel_for(int64_t count, int64_t grain, Task&& task) {
    run(
        count, grain,
        [](void* context, size_t begin, size_t size) {
          (*static_cast<std::remove_reference_t<Task>*>(context))(static_cast<int64_t>(begin),
                                                                  static_cast<int64_t>(begin + size));
        },
        const_cast<void*>(static_cast<const void*>(&task)));
  }

 private:
  void run(int64_t count, int64_t grain, void (*task)(void*, size_t, size_t), void* context);

  pthreadpool* handle_ = nullptr;
};

}  // namespace wimm
