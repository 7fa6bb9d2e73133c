/* The block-sparse product with AVX-512: a block is one register. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>

#include "sparse.h"
#include "begin_avx512.h"

/* Sixteen values of one input are a line of memory, read where a block is not zero. */
enum { TILE_ROWS = 16, CHAINS = 8 };
enum { AHEAD = 32 }; /* blocks to prefetch ahead of where one row's product reads */

static inline void store(const Sparse *s, int64_t row, int64_t block_row, __m512 sum) {
    if (s->act == ACT_RELU) sum = _mm512_max_ps(_mm512_setzero_ps(), sum); /* NaN, the second operand, stays NaN */
    const int64_t left = s->outputs - block_row * SPARSE_BLOCK;
    const __mmask16 lanes = left < SPARSE_BLOCK ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff;
    _mm512_mask_storeu_ps(s->y + row * s->outputs + block_row * SPARSE_BLOCK, lanes, sum);
}

/* Eight sums hide the latency of the additions: 4 cycles, 2 a cycle. */
static void run_one(const Sparse *s, const SparseTile *t) {
    const int32_t *columns = s->columns;
    const float *values = s->values;
    int64_t i = t->block_row ? s->ends[t->block_row - 1] : 0;
    const int64_t end = s->ends[t->block_row];
    __m512 sum[CHAINS];
    sum[0] = _mm512_load_ps(s->bias + t->block_row * SPARSE_BLOCK);
#pragma GCC unroll 8
    for (int c = 1; c < CHAINS; c++) sum[c] = _mm512_setzero_ps();
    for (; i + CHAINS <= end; i += CHAINS) {
#pragma GCC unroll 8
        for (int c = 0; c < CHAINS; c++) {
            _mm_prefetch((const char *)(values + (i + c + AHEAD) * SPARSE_BLOCK), _MM_HINT_T0);
            const __m512 block = _mm512_load_ps(values + (i + c) * SPARSE_BLOCK);
            sum[c] = _mm512_fmadd_ps(_mm512_set1_ps(t->x[columns[i + c]]), block, sum[c]);
        }
    }
    for (; i < end; i++)
        sum[0] = _mm512_fmadd_ps(_mm512_set1_ps(t->x[columns[i]]), _mm512_load_ps(values + i * SPARSE_BLOCK), sum[0]);
#pragma GCC unroll 3
    for (int step = CHAINS / 2; step; step /= 2)
#pragma GCC unroll 4
        for (int c = 0; c < step; c++) sum[c] = _mm512_add_ps(sum[c], sum[c + step]);
    store(s, t->row, t->block_row, sum[0]);
}

static inline __attribute__((always_inline)) void run_rows(const Sparse *s, const SparseTile *t, int rows) {
    __m512 sum[TILE_ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) sum[r] = _mm512_load_ps(s->bias + t->block_row * SPARSE_BLOCK);
    for (int64_t i = t->block_row ? s->ends[t->block_row - 1] : 0; i < s->ends[t->block_row]; i++) {
        const __m512 block = _mm512_load_ps(s->values + i * SPARSE_BLOCK);
        const float *x = t->x + (int64_t)s->columns[i] * TILE_ROWS;
        _mm_prefetch((const char *)(t->x + (int64_t)s->columns[i + SPARSE_AHEAD] * TILE_ROWS), _MM_HINT_T0);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) sum[r] = _mm512_fmadd_ps(_mm512_set1_ps(x[r]), block, sum[r]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
        if (r < t->rows) store(s, t->row + r, t->block_row, sum[r]);
}

static void run_tile(const Sparse *s, const SparseTile *t) {
    if (t->rows <= 4) run_rows(s, t, 4);
    else if (t->rows <= 8) run_rows(s, t, 8);
    else run_rows(s, t, TILE_ROWS);
}

const SparseKernel tt_sparse_avx512 = {run_one, run_tile, TILE_ROWS};

#include "end_isa.h"
#endif
