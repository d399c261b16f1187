// The threads of pthreadpool, in place of upstream's pthreads.c, whose every call waits until each thread has come and
// gone. Here nobody waits for a thread that does not come: the others do its share. Where other programs want the
// processors, a thread is often late by a whole time slice, and a small layer of a model takes a hundredth of that.
#include <limits.h>
#include <pthread.h>
#include <pthreadpool.h>
#include <stdatomic.h>
#include <string.h>

#include "threadpool-atomics.h"
#include "threadpool-object.h"
#include "threadpool-utils.h"

#ifdef __EMSCRIPTEN__
#include <emscripten/threading.h>
#include <math.h>

static void futex_wait(atomic_uint* word, uint32_t value) { emscripten_futex_wait(word, value, INFINITY); }
static void futex_wake_all(atomic_uint* word) { emscripten_futex_wake(word, INT_MAX); }
#else
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static void futex_wait(atomic_uint* word, uint32_t value) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL); }
static void futex_wake_all(atomic_uint* word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX); }
#endif

// `command` counts the calls' beginnings and ends, so that it is odd while one is open to threads; its lowest bits
// count those that have joined the call. `has_active_threads` counts those that have left it.
enum { join = 1, step = 1 << 8, joined_mask = step - 1 };

static int is_open(uint32_t command) { return command & step; }

// How often a thread looks before it sleeps: for about as long as a piece of a layer takes, since to be woken takes
// that long, too, on a virtual processor that has rested. Upstream's million of looks, a millisecond and more, are lost
// where other programs want the processor, and grow to whole time slices where it is a thread of the pool that waits
// for it.
enum { looks = 200000 };

// Returns the word's value once it is no longer `value`; it may be sooner.
static uint32_t wait_for_change(atomic_uint* word, uint32_t value) {
  for (int i = 0; i < looks; ++i) {
    const uint32_t now = atomic_load_explicit(word, memory_order_acquire);
    if (now != value) return now;
    pthreadpool_yield();
  }
  futex_wait(word, value);
  return atomic_load_explicit(word, memory_order_acquire);
}

static void work(struct pthreadpool* pool, struct thread_info* thread) {
  const thread_function_t function = (thread_function_t)pthreadpool_load_relaxed_void_p(&pool->thread_function);
  const uint32_t flags = pthreadpool_load_relaxed_uint32_t(&pool->flags);
  struct fpu_state saved = {0};
  if (flags & PTHREADPOOL_FLAG_DISABLE_DENORMALS) {
    saved = get_fpu_state();
    disable_fpu_denormals();
  }
  function(pool, thread);
  if (flags & PTHREADPOOL_FLAG_DISABLE_DENORMALS) set_fpu_state(saved);
}

// A thread is done, with a call or with its start.
static void leave(struct pthreadpool* pool) {
  atomic_fetch_add_explicit(&pool->has_active_threads, 1, memory_order_release);
  futex_wake_all(&pool->has_active_threads);
}

static void wait_for(struct pthreadpool* pool, uint32_t threads) {
  uint32_t left = atomic_load_explicit(&pool->has_active_threads, memory_order_acquire);
  while (left != threads) left = wait_for_change(&pool->has_active_threads, left);
}

static void* thread_main(void* argument) {
  struct thread_info* thread = argument;
  struct pthreadpool* pool = thread->threadpool;
  leave(pool);
  uint32_t last = 0;  // the call that was joined
  uint32_t command = atomic_load_explicit(&pool->command, memory_order_acquire);
  for (;;) {
    if (!is_open(command) || (command & ~joined_mask) == last) {
      command = wait_for_change(&pool->command, command);
      continue;
    }
    if (!atomic_compare_exchange_weak_explicit(&pool->command, &command, command + join, memory_order_acquire,
                                               memory_order_acquire))
      continue;
    last = command & ~joined_mask;
    if (!pthreadpool_load_relaxed_void_p(&pool->thread_function)) return NULL;
    work(pool, thread);
    leave(pool);
    command = atomic_load_explicit(&pool->command, memory_order_acquire);
  }
}

// Opens a call: what threads read of it has been stored.
static void open_call(struct pthreadpool* pool) {
  pthreadpool_store_relaxed_uint32_t(&pool->has_active_threads, 0);
  const uint32_t command = pthreadpool_load_relaxed_uint32_t(&pool->command);
  atomic_store_explicit(&pool->command, (command & ~joined_mask) + step, memory_order_release);
  futex_wake_all(&pool->command);
}

// No thread joins any more; returns when those that did have left.
static void close_call(struct pthreadpool* pool) {
  wait_for(pool, atomic_fetch_add_explicit(&pool->command, step, memory_order_relaxed) & joined_mask);
}

struct pthreadpool* pthreadpool_create(size_t threads) {
  if (threads == 0 || threads > joined_mask) return NULL;
  struct pthreadpool* pool = pthreadpool_allocate(threads);
  if (!pool) return NULL;
  pool->threads_count = fxdiv_init_size_t(threads);
  for (size_t i = 0; i < threads; ++i) {
    pool->threads[i].thread_number = i;
    pool->threads[i].threadpool = pool;
  }
  if (threads == 1) return pool;
  pthread_mutex_init(&pool->execution_mutex, NULL);
  // The caller is the first thread.
  for (size_t i = 1; i < threads; ++i)
    if (pthread_create(&pool->threads[i].thread_object, NULL, thread_main, &pool->threads[i]) != 0) {
      pool->threads_count = fxdiv_init_size_t(i);
      pthreadpool_destroy(pool);
      return NULL;
    }
  wait_for(pool, (uint32_t)threads - 1);  // a thread that never works is noticed here
  return pool;
}

void pthreadpool_parallelize(struct pthreadpool* pool, thread_function_t function, const void* params,
                             size_t params_size, void* task, void* context, size_t range, uint32_t flags) {
  pthread_mutex_lock(&pool->execution_mutex);
  pthreadpool_store_relaxed_void_p(&pool->thread_function, (void*)function);
  pthreadpool_store_relaxed_void_p(&pool->task, task);
  pthreadpool_store_relaxed_void_p(&pool->argument, context);
  pthreadpool_store_relaxed_uint32_t(&pool->flags, flags);
  if (params_size != 0) memcpy(&pool->params, params, params_size);
  const struct fxdiv_result_size_t share = fxdiv_divide_size_t(range, pool->threads_count);
  size_t begin = 0;
  for (size_t i = 0; i < pool->threads_count.value; ++i) {
    struct thread_info* thread = &pool->threads[i];
    const size_t length = share.quotient + (i < share.remainder);
    pthreadpool_store_relaxed_size_t(&thread->range_start, begin);
    pthreadpool_store_relaxed_size_t(&thread->range_end, begin + length);
    pthreadpool_store_relaxed_size_t(&thread->range_length, length);
    begin += length;
  }
  open_call(pool);
  work(pool, &pool->threads[0]);
  close_call(pool);
  pthread_mutex_unlock(&pool->execution_mutex);
}

void pthreadpool_destroy(struct pthreadpool* pool) {
  if (!pool) return;
  const size_t threads = pool->threads_count.value;
  if (threads > 1) {
    pthreadpool_store_relaxed_void_p(&pool->thread_function, NULL);  // threads end
    open_call(pool);
    for (size_t i = 1; i < threads; ++i) pthread_join(pool->threads[i].thread_object, NULL);
    pthread_mutex_destroy(&pool->execution_mutex);
  }
  pthreadpool_deallocate(pool);
}
