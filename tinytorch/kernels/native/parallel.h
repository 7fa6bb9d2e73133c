/* Items of work that do not depend on one another, divided among threads. */
#ifndef TT_PARALLEL_H
#define TT_PARALLEL_H
#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* `thread` counts from 0: each may have scratch of its own. */
typedef void (*Work)(const void *task, int64_t item, int thread);

static inline int tt_thread(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/* With one thread there is no parallel region: even one of a single thread allocates memory each time. */
static inline void tt_for_each(int64_t items, int threads, Work work, const void *task) {
    if (threads <= 1) {
        for (int64_t item = 0; item < items; item++)
            work(task, item, 0);
        return;
    }
#pragma omp parallel for num_threads(threads)
    for (int64_t item = 0; item < items; item++)
        work(task, item, tt_thread());
}

#endif
