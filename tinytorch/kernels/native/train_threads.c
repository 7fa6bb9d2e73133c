/* Threads that help with the items of one loop at a time, and are not waited for if they come too late.

   OpenMP would have every thread take part in every loop and spin until all have: where other processes want the cores,
   a training step then took 7 times the processor time. Here who comes late finds nothing to do. Items are the same
   whoever computes them, so the results are, too. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "train.h"

enum { MOST_HELPERS = 63, SPINS = 4000 }; /* about 50 us: the time between two loops of a step */

typedef struct {
    Work work;
    const void *task;
    int64_t items;
    int places; /* for helpers that have not come yet; 0 when the loop is over */
} Loop;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* whose loop it is; others work alone meanwhile */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static pthread_cond_t has_begun = PTHREAD_COND_INITIALIZER, has_ended = PTHREAD_COND_INITIALIZER;
static Loop loop;
static int helpers;
static atomic_int working, number; /* helpers at work; which loop it is */
static _Atomic int64_t next_item;

static void rest(void) {
#if TT_X86
    __builtin_ia32_pause();
#elif TT_ARM
    __asm__ volatile("yield");
#endif
}

/* A child has none of its parent's threads, and locks as they were. */
static void forget(void) {
    pthread_mutex_init(&turn, NULL);
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&has_begun, NULL);
    pthread_cond_init(&has_ended, NULL);
    helpers = 0;
    loop.places = 0;
    atomic_store(&working, 0);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, forget); }

static void take_items(const Loop *l, int thread) {
    for (int64_t item; (item = atomic_fetch_add(&next_item, 1)) < l->items;) l->work(l->task, item, thread);
}

static void wait_for_loop(int seen) {
    for (int i = 0; i < SPINS && atomic_load(&number) == seen; i++) rest();
    pthread_mutex_lock(&lock);
    while (atomic_load(&number) == seen) pthread_cond_wait(&has_begun, &lock);
    pthread_mutex_unlock(&lock);
}

static void *help(void *unused) {
    (void)unused;
    for (int seen = 0;;) {
        wait_for_loop(seen);
        pthread_mutex_lock(&lock);
        seen = atomic_load(&number);
        const Loop mine = loop;
        if (loop.places) {
            loop.places--;
            atomic_fetch_add(&working, 1);
        }
        pthread_mutex_unlock(&lock);
        if (!mine.places) continue;
        take_items(&mine, mine.places);
        pthread_mutex_lock(&lock);
        if (atomic_fetch_sub(&working, 1) == 1) pthread_cond_signal(&has_ended);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

/* Under `lock`. Signals go to Python's own threads. */
static void start_helpers(int wanted) {
    pthread_attr_t attributes;
    if (helpers >= wanted || pthread_attr_init(&attributes)) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    while (helpers < wanted && !pthread_create(&thread, &attributes, help, NULL)) helpers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

static void begin(int64_t items, int threads, Work work, const void *task) {
    const int wanted = threads - 1 < MOST_HELPERS ? threads - 1 : MOST_HELPERS;
    pthread_mutex_lock(&lock);
    start_helpers(wanted);
    atomic_store(&next_item, 0);
    loop = (Loop){work, task, items, wanted < helpers ? wanted : helpers};
    atomic_fetch_add(&number, 1);
    pthread_cond_broadcast(&has_begun);
    pthread_mutex_unlock(&lock);
}

static void end(void) {
    pthread_mutex_lock(&lock);
    loop.places = 0;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < SPINS && atomic_load(&working); i++) rest();
    pthread_mutex_lock(&lock);
    while (atomic_load(&working)) pthread_cond_wait(&has_ended, &lock);
    pthread_mutex_unlock(&lock);
}

void tt_train_for_each(int64_t items, int threads, Work work, const void *task) {
    pthread_once(&once, watch_forks);
    if (threads <= 1 || items <= 1 || pthread_mutex_trylock(&turn)) {
        for (int64_t item = 0; item < items; item++) work(task, item, 0);
        return;
    }
    begin(items, threads, work, task);
    const Loop mine = {work, task, items, 0};
    take_items(&mine, 0);
    end();
    pthread_mutex_unlock(&turn);
}
