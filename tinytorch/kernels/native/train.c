/* Training: memory, threads and instruction sets, for all of its operations. */
#include "train.h"

#include <stdlib.h>

int64_t tt_train_bytes(int64_t element, const int64_t *size, int count) {
    int64_t bytes = element;
    for (int i = 0; i < count; i++)
        if (size[i] < 0 || __builtin_mul_overflow(bytes, size[i], &bytes) || bytes > INT64_MAX / 64) return -1;
    return bytes;
}

void *tt_train_alloc(int64_t bytes) {
    void *memory = NULL;
    if (bytes < 0 || posix_memalign(&memory, 64, (size_t)(bytes + 64))) return NULL;
    return memory;
}

int tt_train_threads(const TrainCall *call, double ns) {
    const double most = ns / 5000; /* a parallel region takes 1 to 2 us */
    return most < 2 ? 1 : most < call->threads ? (int)most : call->threads;
}

const TrainPath *tt_train_path(int isa) {
    static const TrainPath *const paths[ISA_COUNT] = {
        [ISA_PORTABLE] = &tt_train_portable,
#ifdef TT_ARM
        [ISA_NEON] = &tt_train_neon,
#endif
#ifdef TT_X86
        [ISA_AVX2] = &tt_train_avx2,
        [ISA_AVX512] = &tt_train_avx512,
#endif
    };
    return paths[isa] ? paths[isa] : &tt_train_portable;
}
