/* int8 products with AVX512-VNNI: 16 outputs a register, 4 inputs an instruction. */
#include "int8.h"

#ifdef TT_X86
#include <immintrin.h>
#include "begin_avx512.h"
#include "vnni.h"

enum { LANES = 16, VECTORS = 2, MOST_ROWS = 12, MOST_CHAINS = 4 }; /* 24 sums, 2 weights and an input at a time of 32 registers */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

INLINE __mmask16 first(int64_t n) { return n >= LANES ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1); }

/* y = act(sum * (x_scale * w_scale) + bias) for one row and 16 outputs; in this order, to equal NumPy. */
INLINE void finish(const Int8Tile *t, int64_t row, int vector, __m512i sums) {
    const int64_t output = (int64_t)vector * LANES;
    const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(t->x_scale[row]), _mm512_load_ps(t->weight_scale + output));
    __m512 y = _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale), _mm512_load_ps(t->bias + output));
    if (t->act == ACT_RELU) {
        y = _mm512_max_ps(_mm512_setzero_ps(), y); /* of two operands the second is kept if one is NaN */
    }
    _mm512_mask_storeu_ps(t->y + row * t->y_stride + output, first(t->outputs - output), y);
}

INLINE __m512i four_inputs(const uint8_t *x) {
    int32_t bytes;
    __builtin_memcpy(&bytes, x, sizeof bytes);
    return _mm512_set1_epi32(bytes);
}

/* `rows` rows from `row` on times the first `vectors` registers of the panel. The sums of a few rows would wait for themselves:
   they are split into `chains` that take turns. All three are constants where this is inlined. */
INLINE void block(const Int8Tile *t, int64_t row, const int rows, const int vectors, const int chains) {
    __m512i sums[MOST_CHAINS][MOST_ROWS][VECTORS];
    UNROLL for (int c = 0; c < chains; c++) {
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < vectors; v++) {
                sums[c][r][v] = c ? _mm512_setzero_si512() : _mm512_load_si512(t->start + v * LANES);
            }
        }
    }
    const uint8_t *x = t->x + row * t->x_stride;
    const int8_t *weights = t->weights;
    const int64_t stride = t->x_stride;
    int64_t left = t->steps;
    for (; left >= chains; left -= chains) {
        UNROLL for (int c = 0; c < chains; c++) {
            __m512i w[VECTORS];
            UNROLL for (int v = 0; v < vectors; v++) {
                w[v] = _mm512_load_si512(weights + (c * VECTORS + v) * LANES * STEP);
            }
            UNROLL for (int r = 0; r < rows; r++) {
                const __m512i inputs = four_inputs(x + r * stride + c * STEP);
                UNROLL for (int v = 0; v < vectors; v++) {
                    sums[c][r][v] = tt_dot4_avx512(sums[c][r][v], inputs, w[v]);
                }
            }
        }
        x += chains * STEP;
        weights += chains * VECTORS * LANES * STEP;
    }
    for (; left > 0; left--) {
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < vectors; v++) {
                sums[0][r][v] = tt_dot4_avx512(sums[0][r][v], four_inputs(x + r * stride),
                                               _mm512_load_si512(weights + v * LANES * STEP));
            }
        }
        x += STEP;
        weights += VECTORS * LANES * STEP;
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            __m512i sum = sums[0][r][v];
            UNROLL for (int c = 1; c < chains; c++) {
                sum = _mm512_add_epi32(sum, sums[c][r][v]);
            }
            finish(t, row + r, v, sum);
        }
    }
}

/* The last panel, if its second half is missing. */
static void narrow_panel(const Int8Tile *t) {
    int64_t row = 0;
    for (; row + MOST_ROWS <= t->rows; row += MOST_ROWS) {
        block(t, row, MOST_ROWS, 1, 1);
    }
    for (; row + 4 <= t->rows; row += 4) {
        block(t, row, 4, 1, 2);
    }
    for (; row < t->rows; row++) {
        block(t, row, 1, 1, MOST_CHAINS);
    }
}

static void panel(const Int8Tile *t) {
    int64_t row = 0;
    for (; row + MOST_ROWS <= t->rows; row += MOST_ROWS) {
        block(t, row, MOST_ROWS, VECTORS, 1);
    }
#define CASE(rows, chains)                    \
    case rows:                                \
        block(t, row, rows, VECTORS, chains); \
        break
    switch (t->rows - row) {
        CASE(1, MOST_CHAINS);
        CASE(2, MOST_CHAINS);
        CASE(3, 2);
        CASE(4, 1);
        CASE(5, 1);
        CASE(6, 1);
        CASE(7, 1);
        CASE(8, 1);
        CASE(9, 1);
        CASE(10, 1);
        CASE(11, 1);
    }
#undef CASE
}

static void product_avx512(const Int8Tile *tile) {
    for (Int8Tile t = *tile; t.outputs > 0; tt_int8_next_panel(&t, LANES * VECTORS, STEP)) {
        if (t.outputs <= LANES) {
            narrow_panel(&t);
        } else if (t.rows == 1) {
            block(&t, 0, 1, VECTORS, MOST_CHAINS);
        } else {
            panel(&t);
        }
    }
}

const Int8Product tt_int8_product_avx512 = {LANES * VECTORS, STEP, FLIP_UNSIGNED, product_avx512};

#include "end_isa.h"
#endif
