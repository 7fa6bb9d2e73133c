/* The block-sparse product with AVX2: a block is two registers. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>
#include <string.h>

#include "sparse.h"
#include "begin_avx2.h"

enum { TILE_ROWS = 6, CHAINS = 4 }; /* 12 sums, or twice 4 */
enum { AHEAD = 32 };                /* blocks to prefetch ahead of where one row's product reads */

static inline void store(const Sparse *s, int64_t row, int64_t block_row, __m256 low, __m256 high) {
    if (s->act == ACT_RELU) { /* NaN, the second operand, stays NaN */
        low = _mm256_max_ps(_mm256_setzero_ps(), low);
        high = _mm256_max_ps(_mm256_setzero_ps(), high);
    }
    const int64_t first = block_row * SPARSE_BLOCK, left = s->outputs - first;
    float all[SPARSE_BLOCK], *y = s->y + row * s->outputs + first, *to = left < SPARSE_BLOCK ? all : y;
    _mm256_storeu_ps(to, low);
    _mm256_storeu_ps(to + 8, high);
    if (to == all) memcpy(y, all, (size_t)left * 4);
}

static inline __attribute__((always_inline)) void add_block(const Sparse *s, int64_t block, const float *x, int stride,
                                                            __m256 sum[2]) {
    const __m256 value = _mm256_set1_ps(x[(int64_t)s->columns[block] * stride]);
    sum[0] = _mm256_fmadd_ps(value, _mm256_load_ps(s->values + block * SPARSE_BLOCK), sum[0]);
    sum[1] = _mm256_fmadd_ps(value, _mm256_load_ps(s->values + block * SPARSE_BLOCK + 8), sum[1]);
}

/* Eight sums hide the latency of the additions: 4 cycles, 2 a cycle. */
static void run_one(const Sparse *s, const SparseTile *t) {
    int64_t i = t->block_row ? s->ends[t->block_row - 1] : 0;
    const int64_t end = s->ends[t->block_row];
    __m256 sum[CHAINS][2];
#pragma GCC unroll 4
    for (int c = 0; c < CHAINS; c++) sum[c][0] = sum[c][1] = _mm256_setzero_ps();
    sum[0][0] = _mm256_load_ps(s->bias + t->block_row * SPARSE_BLOCK);
    sum[0][1] = _mm256_load_ps(s->bias + t->block_row * SPARSE_BLOCK + 8);
    for (; i + CHAINS <= end; i += CHAINS) {
#pragma GCC unroll 4
        for (int c = 0; c < CHAINS; c++) {
            _mm_prefetch((const char *)(s->values + (i + c + AHEAD) * SPARSE_BLOCK), _MM_HINT_T0);
            add_block(s, i + c, t->x, 1, sum[c]);
        }
    }
    for (; i < end; i++) add_block(s, i, t->x, 1, sum[0]);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++)
        sum[0][half] = _mm256_add_ps(_mm256_add_ps(sum[0][half], sum[1][half]), _mm256_add_ps(sum[2][half], sum[3][half]));
    store(s, t->row, t->block_row, sum[0][0], sum[0][1]);
}

static void run_tile(const Sparse *s, const SparseTile *t) {
    __m256 sum[TILE_ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < TILE_ROWS; r++) {
        sum[r][0] = _mm256_load_ps(s->bias + t->block_row * SPARSE_BLOCK);
        sum[r][1] = _mm256_load_ps(s->bias + t->block_row * SPARSE_BLOCK + 8);
    }
    for (int64_t i = t->block_row ? s->ends[t->block_row - 1] : 0; i < s->ends[t->block_row]; i++) {
#pragma GCC unroll 6
        for (int r = 0; r < TILE_ROWS; r++) add_block(s, i, t->x + r, TILE_ROWS, sum[r]);
    }
#pragma GCC unroll 6
    for (int r = 0; r < TILE_ROWS; r++)
        if (r < t->rows) store(s, t->row + r, t->block_row, sum[r][0], sum[r][1]);
}

const SparseKernel tt_sparse_avx2 = {run_one, run_tile, TILE_ROWS};

#include "end_isa.h"
#endif
