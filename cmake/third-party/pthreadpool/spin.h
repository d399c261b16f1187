// Included before pthreadpool's sources: how long a thread that waits for others keeps its processor, before it sleeps.
// Upstream's million of looks, a millisecond and more, are lost where other programs want the processor, and grow to whole
// time slices where it is a thread of the pool that waits for it.
#include "threadpool-common.h"
#undef PTHREADPOOL_SPIN_WAIT_ITERATIONS
#define PTHREADPOOL_SPIN_WAIT_ITERATIONS 10000
