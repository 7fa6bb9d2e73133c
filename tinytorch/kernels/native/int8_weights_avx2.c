/* float32 rows times int8 weights with AVX2: 8 outputs a register. */
#include "int8_weights.h"

#ifdef TT_X86
#include <immintrin.h>
#include "begin_avx2.h"

enum { LANES = 8, VECTORS = 2, MOST_ROWS = 4, MOST_CHAINS = 4 }; /* 8 sums, 2 weights and an input at a time of 16 registers */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

INLINE void finish(const WeightsTile *t, int64_t row, int vector, __m256 sums) {
    const int64_t output = (int64_t)vector * LANES;
    __m256 y = _mm256_fmadd_ps(sums, _mm256_load_ps(t->weight_scale + output), _mm256_load_ps(t->bias + output));
    if (t->act == ACT_RELU) {
        y = _mm256_max_ps(_mm256_setzero_ps(), y); /* of two operands the second is kept if one is NaN */
    }
    float *to = t->y + row * t->y_stride + output;
    if (output + LANES <= t->outputs) {
        _mm256_storeu_ps(to, y);
        return;
    }
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(to, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(t->outputs - output)), lane), y);
}

INLINE __m256 as_floats(const int8_t *weights) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)weights)));
}

/* `rows` rows from `row` on times the panel. The sums of a few rows would wait for themselves: they are split into `chains`
   that take turns. Both are constants where this is inlined. */
INLINE void block(const WeightsTile *t, int64_t row, const int rows, const int chains) {
    __m256 sums[MOST_CHAINS][MOST_ROWS][VECTORS];
    UNROLL for (int c = 0; c < chains; c++) {
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < VECTORS; v++) {
                sums[c][r][v] = _mm256_setzero_ps();
            }
        }
    }
    const float *x = t->x + row * t->inputs;
    const int8_t *weights = t->weights;
    int64_t left = t->inputs;
    for (; left >= chains; left -= chains) {
        UNROLL for (int c = 0; c < chains; c++) {
            __m256 w[VECTORS];
            UNROLL for (int v = 0; v < VECTORS; v++) {
                w[v] = as_floats(weights + (c * VECTORS + v) * LANES);
            }
            UNROLL for (int r = 0; r < rows; r++) {
                const __m256 input = _mm256_broadcast_ss(x + r * t->inputs + c);
                UNROLL for (int v = 0; v < VECTORS; v++) {
                    sums[c][r][v] = _mm256_fmadd_ps(input, w[v], sums[c][r][v]);
                }
            }
        }
        x += chains;
        weights += chains * VECTORS * LANES;
    }
    for (; left > 0; left--) {
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < VECTORS; v++) {
                sums[0][r][v] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + r * t->inputs), as_floats(weights + v * LANES), sums[0][r][v]);
            }
        }
        x++;
        weights += VECTORS * LANES;
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            __m256 sum = sums[0][r][v];
            UNROLL for (int c = 1; c < chains; c++) {
                sum = _mm256_add_ps(sum, sums[c][r][v]);
            }
            finish(t, row + r, v, sum);
        }
    }
}

static void product_avx2(const WeightsTile *t) {
    int64_t row = 0;
    for (; row + MOST_ROWS <= t->rows; row += MOST_ROWS) {
        block(t, row, MOST_ROWS, 1);
    }
    for (; row < t->rows; row++) {
        block(t, row, 1, MOST_CHAINS);
    }
}

const WeightsProduct tt_int8_weights_avx2 = {LANES * VECTORS, product_avx2};

#include "end_isa.h"
#endif
