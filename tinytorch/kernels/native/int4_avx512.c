/* The product with 4-bit weights with AVX-512: integers by VNNI, float32 by a table of the sixteen values. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>
#include <string.h>

#include "int4.h"
#include "product.h"
#include "begin_avx512.h"
#include "vnni.h"

enum { MAX_ROWS = 6, MAX_PANELS = 2 }; /* of a tile: 12 sums and 12 totals, 4 of weights: 28 of the 32 registers */
enum { AHEAD = 4096 };                 /* bytes to prefetch ahead of where one row's product reads */

/* Loops over what a tile has of each, unrolled: its arrays are registers. */
#define UNROLLED(LOOP) _Pragma("GCC unroll 6") LOOP
#define EACH_ROW UNROLLED(for (int r = 0; r < rows; r++))
#define EACH_PANEL UNROLLED(for (int n = 0; n < panels; n++))
#define EACH_SUM EACH_ROW EACH_PANEL

typedef void (*RunTile)(const Int4 *, int64_t row, int64_t panel);

static inline __m512i broadcast4(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* Add the bias, apply the activation, and store those lanes that are outputs. */
static inline void finish(const Int4 *p, int64_t row, int64_t panel, __m512 total) {
    __m512 y = _mm512_add_ps(total, _mm512_load_ps(p->bias + panel * INT4_PANEL));
    if (p->act == ACT_RELU) y = _mm512_max_ps(_mm512_setzero_ps(), y); /* NaN, the second operand, stays NaN */
    const int64_t left = p->outputs - panel * INT4_PANEL;
    const __mmask16 lanes = left < INT4_PANEL ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff;
    _mm512_mask_storeu_ps(p->y + row * p->outputs + panel * INT4_PANEL, lanes, y);
}

/* One row times one panel: weights from memory in sequence. (Four panels at a time, which share what is read of the row,
   were 10 % slower from memory and no faster from a cache.) Low and high halves of the bytes have sums of their own: half
   the latency. */
static void dynamic_row(const Int4 *p, int64_t row, int64_t panel) {
    const __m512i low_half = _mm512_set1_epi8(15);
    const __m512 x_scale = _mm512_set1_ps(p->x_scale[row]);
    __m512 total = _mm512_set1_ps(-0.0f); /* -0.0 + x is x, whatever its sign */
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group), *bytes = scale + INT4_BLOCK_BYTES;
        const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
        const int8_t *q = p->q + row * p->padded + first * INT4_BLOCK;
        __m512i sum = _mm512_set1_epi32(p->offset[row * p->groups + group]), second = _mm512_setzero_si512();
        _mm_prefetch((const char *)(scale + AHEAD), _MM_HINT_T0);
#pragma GCC unroll 4
        for (int64_t block = 0; block < count; block++) {
            const __m512i both = _mm512_load_si512(bytes + block * INT4_BLOCK_BYTES);
            _mm_prefetch((const char *)(bytes + block * INT4_BLOCK_BYTES + AHEAD), _MM_HINT_T0);
            const __m512i low = _mm512_and_si512(both, low_half);
            const __m512i high = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_half);
            sum = tt_dot4_avx512(sum, low, broadcast4(q + block * INT4_BLOCK));
            second = tt_dot4_avx512(second, high, broadcast4(q + block * INT4_BLOCK + 4));
        }
        const __m512 whole = _mm512_cvtepi32_ps(_mm512_add_epi32(sum, second));
        total = _mm512_add_ps(total, _mm512_mul_ps(whole, _mm512_mul_ps(x_scale, _mm512_load_ps(scale))));
    }
    finish(p, row, panel, total);
}

static inline __attribute__((always_inline)) void dynamic_tile(const Int4 *p, int64_t row, int64_t panel, int rows,
                                                               int panels) {
    const int64_t stride = int4_panel_bytes(p);
    const __m512i low_half = _mm512_set1_epi8(15);
    __m512 total[MAX_ROWS][MAX_PANELS];
    EACH_SUM total[r][n] = _mm512_set1_ps(-0.0f); /* -0.0 + x is x, whatever its sign */
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group);
        const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
        const int8_t *q = p->q + row * p->padded + first * INT4_BLOCK;
        __m512i sum[MAX_ROWS][MAX_PANELS];
        EACH_SUM sum[r][n] = _mm512_set1_epi32(p->offset[(row + r) * p->groups + group]);
        for (int64_t block = 0; block < count; block++, q += INT4_BLOCK) {
            const uint8_t *bytes = scale + (1 + block) * INT4_BLOCK_BYTES;
            __m512i low[MAX_PANELS], high[MAX_PANELS];
            EACH_PANEL {
                const __m512i both = _mm512_load_si512(bytes + n * stride);
                low[n] = _mm512_and_si512(both, low_half);
                high[n] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_half);
            }
            EACH_ROW {
                const __m512i first_four = broadcast4(q + r * p->padded), last_four = broadcast4(q + r * p->padded + 4);
                EACH_PANEL {
                    sum[r][n] = tt_dot4_avx512(sum[r][n], low[n], first_four);
                    sum[r][n] = tt_dot4_avx512(sum[r][n], high[n], last_four);
                }
            }
        }
        EACH_SUM {
            const __m512 by = _mm512_mul_ps(_mm512_set1_ps(p->x_scale[row + r]), _mm512_load_ps(scale + n * stride));
            total[r][n] = _mm512_add_ps(total[r][n], _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r][n]), by));
        }
    }
    EACH_SUM finish(p, row + r, panel + n, total[r][n]);
}

/* Input `i` of a block. The low four bits of each 32 are the index of its weight: a shift brings the next weight there. */
static inline int64_t input_at(int i) { return i % 2 * 4 + i / 2; }

static inline __m512 values(void) { return _mm512_set_ps(7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8); }

static void float_row(const Int4 *p, int64_t row, int64_t panel) {
    __m512 total = _mm512_setzero_ps();
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group), *bytes = scale + INT4_BLOCK_BYTES;
        const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
        const float *x = p->x + row * p->padded + first * INT4_BLOCK;
        __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
        _mm_prefetch((const char *)(scale + AHEAD), _MM_HINT_T0);
        for (int64_t block = 0; block < count; block++, x += INT4_BLOCK) {
            const __m512i weights = _mm512_load_si512(bytes + block * INT4_BLOCK_BYTES);
            _mm_prefetch((const char *)(bytes + block * INT4_BLOCK_BYTES + AHEAD), _MM_HINT_T0);
#pragma GCC unroll 8
            for (int i = 0; i < INT4_BLOCK; i++) {
                const __m512 w = _mm512_permutexvar_ps(_mm512_srli_epi32(weights, 4 * (unsigned)i), values());
                sum[i % 4] = _mm512_fmadd_ps(_mm512_set1_ps(x[input_at(i)]), w, sum[i % 4]);
            }
        }
        const __m512 whole = _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
        total = _mm512_fmadd_ps(whole, _mm512_load_ps(scale), total);
    }
    finish(p, row, panel, total);
}

static inline __attribute__((always_inline)) void float_tile(const Int4 *p, int64_t row, int64_t panel, int rows,
                                                             int panels) {
    const int64_t stride = int4_panel_bytes(p);
    __m512 total[MAX_ROWS][MAX_PANELS];
    EACH_SUM total[r][n] = _mm512_setzero_ps();
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group);
        const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
        const float *x = p->x + row * p->padded + first * INT4_BLOCK;
        __m512 sum[MAX_ROWS][MAX_PANELS];
        EACH_SUM sum[r][n] = _mm512_setzero_ps();
        for (int64_t block = 0; block < count; block++, x += INT4_BLOCK) {
            __m512i weights[MAX_PANELS];
            EACH_PANEL weights[n] = _mm512_load_si512(scale + (1 + block) * INT4_BLOCK_BYTES + n * stride);
#pragma GCC unroll 8
            for (int i = 0; i < INT4_BLOCK; i++) {
                __m512 w[MAX_PANELS];
                EACH_PANEL w[n] = _mm512_permutexvar_ps(_mm512_srli_epi32(weights[n], 4 * (unsigned)i), values());
                EACH_ROW {
                    const __m512 value = _mm512_set1_ps(x[r * p->padded + input_at(i)]);
                    EACH_PANEL sum[r][n] = _mm512_fmadd_ps(value, w[n], sum[r][n]);
                }
            }
        }
        EACH_SUM total[r][n] = _mm512_fmadd_ps(sum[r][n], _mm512_load_ps(scale + n * stride), total[r][n]);
    }
    EACH_SUM finish(p, row + r, panel + n, total[r][n]);
}

#define TILE(MODE, R, P) \
    static void MODE##_##R##x##P(const Int4 *p, int64_t row, int64_t panel) { MODE##_tile(p, row, panel, R, P); }
#define TILES(MODE)                                                                                                    \
    TILE(MODE, 2, 1) TILE(MODE, 3, 1) TILE(MODE, 4, 1) TILE(MODE, 5, 1) TILE(MODE, 6, 1)                               \
    TILE(MODE, 2, 2) TILE(MODE, 3, 2) TILE(MODE, 4, 2) TILE(MODE, 5, 2) TILE(MODE, 6, 2)                               \
    static const RunTile MODE##_tiles[MAX_PANELS][MAX_ROWS - 1] = {                                                    \
        {MODE##_2x1, MODE##_3x1, MODE##_4x1, MODE##_5x1, MODE##_6x1},                                                  \
        {MODE##_2x2, MODE##_3x2, MODE##_4x2, MODE##_5x2, MODE##_6x2},                                                  \
    };
TILES(dynamic)
TILES(float)

static inline void run_tiles(const Int4 *p, const Int4Part *part, RunTile one, const RunTile tiles[][MAX_ROWS - 1]) {
    for (int64_t panel = part->panel, panels; panel < part->panel_end; panel += panels) {
        panels = least(MAX_PANELS, part->panel_end - panel);
        int64_t row = part->row;
        for (int64_t rows; row + 1 < part->row_end; row += rows) {
            rows = least(MAX_ROWS, part->row_end - row);
            tiles[panels - 1][rows - 2](p, row, panel);
        }
        for (int64_t n = 0; row < part->row_end && n < panels; n++) one(p, row, panel + n);
    }
}

void tt_int4_dynamic_avx512(const Int4 *p, const Int4Part *part) { run_tiles(p, part, dynamic_row, dynamic_tiles); }
void tt_int4_float_avx512(const Int4 *p, const Int4Part *part) { run_tiles(p, part, float_row, float_tiles); }

#include "end_isa.h"
#endif
