/* The product with 4-bit weights with AVX-512: integers by VNNI, float32 by a table of the sixteen values. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>
#include <string.h>

#include "int4.h"
#include "begin_avx512.h"
#include "vnni.h"

enum { MAX_ROWS = 6, MAX_PANELS = 4 }; /* six rows times two panels, or one row times four: 24 registers of sums */
enum { AHEAD = 2048 };                 /* bytes to prefetch ahead of where one row's product reads */

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

/* Low and high halves of the bytes have sums of their own where one row alone would not hide their latency. */
static inline __attribute__((always_inline)) void dynamic_tile(const Int4 *p, int64_t row, int64_t panel, int rows,
                                                               int panels) {
    const int64_t stride = int4_panel_bytes(p);
    const __m512i low_half = _mm512_set1_epi8(15);
    const int chains = rows == 1 ? 2 : 1;
    __m512 total[MAX_ROWS][MAX_PANELS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int n = 0; n < panels; n++) total[r][n] = _mm512_set1_ps(-0.0f); /* -0.0 + x is x, whatever its sign */
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group);
        const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
        const int8_t *q = p->q + row * p->padded + first * INT4_BLOCK;
        __m512i sum[MAX_ROWS][MAX_PANELS], second[MAX_PANELS];
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int n = 0; n < panels; n++) {
                sum[r][n] = _mm512_set1_epi32(p->offset[(row + r) * p->groups + group]);
                second[n] = _mm512_setzero_si512();
            }
        for (int64_t block = 0; block < count; block++, q += INT4_BLOCK) {
            const uint8_t *bytes = scale + (1 + block) * INT4_BLOCK_BYTES;
            __m512i low[MAX_PANELS], high[MAX_PANELS];
#pragma GCC unroll 4
            for (int n = 0; n < panels; n++) {
                const __m512i both = _mm512_load_si512(bytes + n * stride);
                if (rows == 1) _mm_prefetch((const char *)(bytes + n * stride + AHEAD), _MM_HINT_T0);
                low[n] = _mm512_and_si512(both, low_half);
                high[n] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_half);
            }
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                const __m512i first_four = broadcast4(q + r * p->padded), last_four = broadcast4(q + r * p->padded + 4);
#pragma GCC unroll 4
                for (int n = 0; n < panels; n++) {
                    sum[r][n] = tt_dot4_avx512(sum[r][n], low[n], first_four);
                    if (chains == 2) second[n] = tt_dot4_avx512(second[n], high[n], last_four);
                    else sum[r][n] = tt_dot4_avx512(sum[r][n], high[n], last_four);
                }
            }
        }
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int n = 0; n < panels; n++) {
                const __m512i whole = chains == 2 ? _mm512_add_epi32(sum[r][n], second[n]) : sum[r][n];
                const __m512 by = _mm512_mul_ps(_mm512_set1_ps(p->x_scale[row + r]), _mm512_load_ps(scale + n * stride));
                total[r][n] = _mm512_add_ps(total[r][n], _mm512_mul_ps(_mm512_cvtepi32_ps(whole), by));
            }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int n = 0; n < panels; n++) finish(p, row + r, panel + n, total[r][n]);
}

/* The low four bits of each 32 are the index of the weight's value: a shift brings the next weight there. */
static inline __attribute__((always_inline)) void float_tile(const Int4 *p, int64_t row, int64_t panel, int rows,
                                                             int panels) {
    const int64_t stride = int4_panel_bytes(p);
    const __m512 values = _mm512_set_ps(7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8);
    const int chains = rows == 1 ? 2 : 1;
    __m512 total[MAX_ROWS][MAX_PANELS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int n = 0; n < panels; n++) total[r][n] = _mm512_setzero_ps();
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group);
        const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
        const float *x = p->x + row * p->padded + first * INT4_BLOCK;
        __m512 sum[MAX_ROWS][MAX_PANELS], second[MAX_PANELS];
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int n = 0; n < panels; n++) sum[r][n] = second[n] = _mm512_setzero_ps();
        for (int64_t block = 0; block < count; block++, x += INT4_BLOCK) {
            const uint8_t *bytes = scale + (1 + block) * INT4_BLOCK_BYTES;
            __m512i weights[MAX_PANELS];
#pragma GCC unroll 4
            for (int n = 0; n < panels; n++) {
                weights[n] = _mm512_load_si512(bytes + n * stride);
                if (rows == 1) _mm_prefetch((const char *)(bytes + n * stride + AHEAD), _MM_HINT_T0);
            }
#pragma GCC unroll 8
            for (int i = 0; i < INT4_BLOCK; i++) {
                __m512 w[MAX_PANELS];
#pragma GCC unroll 4
                for (int n = 0; n < panels; n++)
                    w[n] = _mm512_permutexvar_ps(_mm512_srli_epi32(weights[n], 4 * (unsigned)i), values);
#pragma GCC unroll 6
                for (int r = 0; r < rows; r++) {
                    const __m512 value = _mm512_set1_ps(x[r * p->padded + i % 2 * 4 + i / 2]);
#pragma GCC unroll 4
                    for (int n = 0; n < panels; n++)
                        if (chains == 2 && i % 2) second[n] = _mm512_fmadd_ps(value, w[n], second[n]);
                        else sum[r][n] = _mm512_fmadd_ps(value, w[n], sum[r][n]);
                }
            }
        }
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int n = 0; n < panels; n++) {
                const __m512 whole = chains == 2 ? _mm512_add_ps(sum[r][n], second[n]) : sum[r][n];
                total[r][n] = _mm512_fmadd_ps(whole, _mm512_load_ps(scale + n * stride), total[r][n]);
            }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int n = 0; n < panels; n++) finish(p, row + r, panel + n, total[r][n]);
}

#define TILE(MODE, R, P) \
    static void MODE##_##R##x##P(const Int4 *p, int64_t row, int64_t panel) { MODE##_tile(p, row, panel, R, P); }
#define TILES(MODE)                                                                                               \
    TILE(MODE, 1, 1) TILE(MODE, 1, 2) TILE(MODE, 1, 3) TILE(MODE, 1, 4) TILE(MODE, 2, 1) TILE(MODE, 2, 2)         \
    TILE(MODE, 3, 1) TILE(MODE, 3, 2) TILE(MODE, 4, 1) TILE(MODE, 4, 2) TILE(MODE, 5, 1) TILE(MODE, 5, 2)         \
    TILE(MODE, 6, 1) TILE(MODE, 6, 2)                                                                             \
    static const RunTile MODE##_tiles[MAX_ROWS][MAX_PANELS] = {                                                   \
        {MODE##_1x1, MODE##_1x2, MODE##_1x3, MODE##_1x4}, {MODE##_2x1, MODE##_2x2}, {MODE##_3x1, MODE##_3x2},     \
        {MODE##_4x1, MODE##_4x2}, {MODE##_5x1, MODE##_5x2}, {MODE##_6x1, MODE##_6x2},                             \
    };
TILES(dynamic)
TILES(float)

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static inline void run_tiles(const Int4 *p, const Int4Part *part, const RunTile tiles[MAX_ROWS][MAX_PANELS]) {
    const int64_t across = part->row_end - part->row == 1 ? MAX_PANELS : 2;
    for (int64_t panel = part->panel, panels; panel < part->panel_end; panel += panels) {
        panels = least(across, part->panel_end - panel);
        for (int64_t row = part->row, rows; row < part->row_end; row += rows) {
            rows = least(MAX_ROWS, part->row_end - row);
            tiles[rows - 1][panels - 1](p, row, panel);
        }
    }
}

void tt_int4_dynamic_avx512(const Int4 *p, const Int4Part *part) { run_tiles(p, part, dynamic_tiles); }
void tt_int4_float_avx512(const Int4 *p, const Int4Part *part) { run_tiles(p, part, float_tiles); }

#include "end_isa.h"
#endif
