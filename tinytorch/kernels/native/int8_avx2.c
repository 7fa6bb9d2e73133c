/* int8 products with AVX2: 8 outputs a register, 4 inputs a step.

vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits. With |w| as the unsigned and x with the sign of
w as the signed side a pair is at most 2 * 128 * 127, which 16 bits hold: the sums are exact for every weight. */
#include "int8.h"

#ifdef TT_X86
#include <immintrin.h>
#include "begin_avx2.h"

enum { LANES = 8, VECTORS = 2, MOST_ROWS = 4 };
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

/* y = act(sum * (x_scale * w_scale) + bias) for one row and 8 outputs; in this order, to equal NumPy. */
INLINE void finish(const Int8Tile *t, int64_t row, int vector, __m256i sums) {
    const int64_t output = (int64_t)vector * LANES;
    const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(t->x_scale[row]), _mm256_load_ps(t->weight_scale + output));
    __m256 y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale), _mm256_load_ps(t->bias + output));
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

INLINE __m256i four_inputs(const uint8_t *x) {
    int32_t bytes;
    __builtin_memcpy(&bytes, x, sizeof bytes);
    return _mm256_set1_epi32(bytes);
}

/* sums + the products of 4 inputs with the weights, of which the magnitudes are given too. */
INLINE __m256i dot4(__m256i sums, __m256i inputs, __m256i weights, __m256i magnitudes) {
    const __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(inputs, weights));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* `rows` rows from `row` on times the panel; `rows` is a constant where this is inlined. */
INLINE void block(const Int8Tile *t, int64_t row, const int rows) {
    __m256i sums[MOST_ROWS][VECTORS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            sums[r][v] = _mm256_load_si256((const __m256i *)(t->start + v * LANES));
        }
    }
    const uint8_t *x = t->x + row * t->x_stride;
    const __m256i *weights = (const __m256i *)t->weights;
    for (int64_t step = 0; step < t->steps; step++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            const __m256i w = _mm256_load_si256(weights + v), magnitudes = _mm256_abs_epi8(w);
            UNROLL for (int r = 0; r < rows; r++) {
                sums[r][v] = dot4(sums[r][v], four_inputs(x + r * t->x_stride), w, magnitudes);
            }
        }
        x += STEP;
        weights += VECTORS;
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            finish(t, row + r, v, sums[r][v]);
        }
    }
}

static void panel(const Int8Tile *t) {
    int64_t row = 0;
    for (; row + MOST_ROWS <= t->rows; row += MOST_ROWS) {
        block(t, row, MOST_ROWS);
    }
    switch (t->rows - row) {
    case 1:
        block(t, row, 1);
        break;
    case 2:
        block(t, row, 2);
        break;
    case 3:
        block(t, row, 3);
        break;
    }
}

static void product_avx2(const Int8Tile *tile) {
    for (Int8Tile t = *tile; t.outputs > 0; tt_int8_next_panel(&t, LANES * VECTORS, STEP)) {
        panel(&t);
    }
}

const Int8Product tt_int8_product_avx2 = {LANES * VECTORS, STEP, FLIP_NONE, product_avx2};

#include "end_isa.h"
#endif
