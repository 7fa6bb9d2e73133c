/* float32 rows times int8 weights with AVX-512: 16 outputs a register. */
#include "int8_weights.h"

#ifdef TT_X86
#include <immintrin.h>
#include "begin_avx512.h"

enum { LANES = 16, VECTORS = 2, MOST_ROWS = 12, MOST_CHAINS = 4 }; /* 24 sums, 2 weights and an input at a time of 32 registers */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

INLINE __mmask16 first(int64_t n) { return n >= LANES ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1); }

INLINE void finish(const WeightsTile *t, int64_t row, int vector, __m512 sums) {
    const int64_t output = (int64_t)vector * LANES;
    __m512 y = _mm512_fmadd_ps(sums, _mm512_load_ps(t->weight_scale + output), _mm512_load_ps(t->bias + output));
    if (t->act == ACT_RELU) {
        y = _mm512_max_ps(_mm512_setzero_ps(), y); /* of two operands the second is kept if one is NaN */
    }
    _mm512_mask_storeu_ps(t->y + row * t->y_stride + output, first(t->outputs - output), y);
}

INLINE __m512 as_floats(const int8_t *weights) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)weights)));
}

/* `rows` rows from `row` on times the panel. The sums of a few rows would wait for themselves: they are split into `chains`
   that take turns. Both are constants where this is inlined. */
INLINE void block(const WeightsTile *t, int64_t row, const int rows, const int chains) {
    __m512 sums[MOST_CHAINS][MOST_ROWS][VECTORS];
    UNROLL for (int c = 0; c < chains; c++) {
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < VECTORS; v++) {
                sums[c][r][v] = _mm512_setzero_ps();
            }
        }
    }
    const float *x = t->x + row * t->inputs;
    const int8_t *weights = t->weights;
    int64_t left = t->inputs;
    for (; left >= chains; left -= chains) {
        UNROLL for (int c = 0; c < chains; c++) {
            __m512 w[VECTORS];
            UNROLL for (int v = 0; v < VECTORS; v++) {
                w[v] = as_floats(weights + (c * VECTORS + v) * LANES);
            }
            UNROLL for (int r = 0; r < rows; r++) {
                const __m512 input = _mm512_set1_ps(x[r * t->inputs + c]);
                UNROLL for (int v = 0; v < VECTORS; v++) {
                    sums[c][r][v] = _mm512_fmadd_ps(input, w[v], sums[c][r][v]);
                }
            }
        }
        x += chains;
        weights += chains * VECTORS * LANES;
    }
    for (; left > 0; left--) {
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < VECTORS; v++) {
                sums[0][r][v] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * t->inputs]), as_floats(weights + v * LANES), sums[0][r][v]);
            }
        }
        x++;
        weights += VECTORS * LANES;
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            __m512 sum = sums[0][r][v];
            UNROLL for (int c = 1; c < chains; c++) {
                sum = _mm512_add_ps(sum, sums[c][r][v]);
            }
            finish(t, row + r, v, sum);
        }
    }
}

static void product_avx512(const WeightsTile *t) {
    int64_t row = 0;
    for (; row + MOST_ROWS <= t->rows; row += MOST_ROWS) {
        block(t, row, MOST_ROWS, 1);
    }
    for (; row + 4 <= t->rows; row += 4) {
        block(t, row, 4, 1);
    }
    for (; row < t->rows; row++) {
        block(t, row, 1, MOST_CHAINS);
    }
}

const WeightsProduct tt_int8_weights_avx512 = {LANES * VECTORS, product_avx512};

#include "end_isa.h"
#endif
