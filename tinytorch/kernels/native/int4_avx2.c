/* The product with 4-bit weights with AVX2: a byte times a byte to 16 bits, summed in 16 bits as long as that is exact. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>
#include <string.h>

#include "int4.h"
#include "begin_avx2.h"

enum { HALVES = 2, LANES = 8 };    /* a panel is two registers of outputs */
enum { MAX_ROWS = 2 };             /* per row: two sums of 16 and two of 32 bits, two totals */
enum { EXACT_BLOCKS = 4 };         /* 2 * 4 times 2 * 15 * 127 fits 16 bits */
enum { AHEAD = 2048 };             /* bytes to prefetch ahead of where one row's product reads */

typedef void (*RunTile)(const Int4 *, int64_t row, int64_t panel);

static inline __m256i broadcast4(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

/* Add the bias, apply the activation, and store those lanes that are outputs. */
static inline void finish(const Int4 *p, int64_t row, int64_t panel, const __m256 total[HALVES]) {
    const int64_t first = panel * INT4_PANEL, left = p->outputs - first;
    float all[INT4_PANEL], *y = p->y + row * p->outputs + first, *to = left < INT4_PANEL ? all : y;
    for (int h = 0; h < HALVES; h++) {
        __m256 sum = _mm256_add_ps(total[h], _mm256_load_ps(p->bias + first + h * LANES));
        if (p->act == ACT_RELU) sum = _mm256_max_ps(_mm256_setzero_ps(), sum); /* NaN, the second operand, stays NaN */
        _mm256_storeu_ps(to + h * LANES, sum);
    }
    if (to == all) memcpy(y, all, (size_t)left * 4);
}

static inline __attribute__((always_inline)) void add_blocks(const Int4 *p, const uint8_t *bytes, const int8_t *q,
                                                             int64_t blocks, int rows, __m256i sum[][HALVES]) {
    const __m256i low_half = _mm256_set1_epi8(15);
    __m256i pairs[MAX_ROWS][HALVES];
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) pairs[r][0] = pairs[r][1] = _mm256_setzero_si256();
    for (int64_t block = 0; block < blocks; block++, bytes += INT4_BLOCK_BYTES, q += INT4_BLOCK) {
        if (rows == 1) _mm_prefetch((const char *)(bytes + AHEAD), _MM_HINT_T0);
#pragma GCC unroll 2
        for (int h = 0; h < HALVES; h++) {
            const __m256i both = _mm256_load_si256((const __m256i *)bytes + h);
            const __m256i low = _mm256_and_si256(both, low_half);
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), low_half);
#pragma GCC unroll 2
            for (int r = 0; r < rows; r++) {
                const __m256i first = _mm256_maddubs_epi16(low, broadcast4(q + r * p->padded));
                const __m256i last = _mm256_maddubs_epi16(high, broadcast4(q + r * p->padded + 4));
                pairs[r][h] = _mm256_add_epi16(pairs[r][h], _mm256_add_epi16(first, last));
            }
        }
    }
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int h = 0; h < HALVES; h++)
            sum[r][h] = _mm256_add_epi32(sum[r][h], _mm256_madd_epi16(pairs[r][h], _mm256_set1_epi16(1)));
}

static inline __attribute__((always_inline)) void dynamic_tile(const Int4 *p, int64_t row, int64_t panel, int rows) {
    __m256 total[MAX_ROWS][HALVES];
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) total[r][0] = total[r][1] = _mm256_set1_ps(-0.0f); /* -0.0 + x is x */
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group), *blocks = scale + INT4_BLOCK_BYTES;
        const int64_t first = group * p->group_blocks, end = int4_group_end(p, group);
        __m256i sum[MAX_ROWS][HALVES];
#pragma GCC unroll 2
        for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm256_set1_epi32(p->offset[(row + r) * p->groups + group]);
        for (int64_t block = first; block < end; block += EXACT_BLOCKS) {
            const int8_t *q = p->q + row * p->padded + block * INT4_BLOCK;
            const uint8_t *bytes = blocks + (block - first) * INT4_BLOCK_BYTES;
            if (end - block >= EXACT_BLOCKS) add_blocks(p, bytes, q, EXACT_BLOCKS, rows, sum);
            else add_blocks(p, bytes, q, end - block, rows, sum);
        }
#pragma GCC unroll 2
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
            for (int h = 0; h < HALVES; h++) {
                const __m256 w_scale = _mm256_load_ps((const float *)scale + h * LANES);
                const __m256 by = _mm256_mul_ps(_mm256_set1_ps(p->x_scale[row + r]), w_scale);
                total[r][h] = _mm256_add_ps(total[r][h], _mm256_mul_ps(_mm256_cvtepi32_ps(sum[r][h]), by));
            }
    }
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) finish(p, row + r, panel, total[r]);
}

static inline __attribute__((always_inline)) void float_tile(const Int4 *p, int64_t row, int64_t panel, int rows) {
    __m256 total[MAX_ROWS][HALVES];
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) total[r][0] = total[r][1] = _mm256_setzero_ps();
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group), *bytes = scale + INT4_BLOCK_BYTES;
        const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
        const float *x = p->x + row * p->padded + first * INT4_BLOCK;
        __m256 sum[MAX_ROWS][HALVES][2]; /* even and odd weights of a word apart: more sums hide their latency */
#pragma GCC unroll 2
        for (int r = 0; r < rows; r++)
            sum[r][0][0] = sum[r][0][1] = sum[r][1][0] = sum[r][1][1] = _mm256_setzero_ps();
        for (int64_t block = 0; block < count; block++, bytes += INT4_BLOCK_BYTES, x += INT4_BLOCK) {
            if (rows == 1) _mm_prefetch((const char *)(bytes + AHEAD), _MM_HINT_T0);
#pragma GCC unroll 2
            for (int h = 0; h < HALVES; h++) {
                const __m256i words = _mm256_load_si256((const __m256i *)bytes + h);
#pragma GCC unroll 8
                for (int i = 0; i < INT4_BLOCK; i++) {
                    const __m256i raised = _mm256_and_si256(_mm256_srli_epi32(words, 4 * i), _mm256_set1_epi32(15));
                    const __m256 w = _mm256_sub_ps(_mm256_cvtepi32_ps(raised), _mm256_set1_ps(INT4_OFFSET));
#pragma GCC unroll 2
                    for (int r = 0; r < rows; r++) {
                        const __m256 value = _mm256_set1_ps(x[r * p->padded + i % 2 * 4 + i / 2]);
                        sum[r][h][i % 2] = _mm256_fmadd_ps(value, w, sum[r][h][i % 2]);
                    }
                }
            }
        }
#pragma GCC unroll 2
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
            for (int h = 0; h < HALVES; h++) {
                const __m256 whole = _mm256_add_ps(sum[r][h][0], sum[r][h][1]);
                total[r][h] = _mm256_fmadd_ps(whole, _mm256_load_ps((const float *)scale + h * LANES), total[r][h]);
            }
    }
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) finish(p, row + r, panel, total[r]);
}

static void dynamic_1(const Int4 *p, int64_t row, int64_t panel) { dynamic_tile(p, row, panel, 1); }
static void dynamic_2(const Int4 *p, int64_t row, int64_t panel) { dynamic_tile(p, row, panel, 2); }
static void float_1(const Int4 *p, int64_t row, int64_t panel) { float_tile(p, row, panel, 1); }
static void float_2(const Int4 *p, int64_t row, int64_t panel) { float_tile(p, row, panel, 2); }

static inline void run_tiles(const Int4 *p, const Int4Part *part, RunTile one, RunTile two) {
    for (int64_t panel = part->panel; panel < part->panel_end; panel++) {
        int64_t row = part->row;
        for (; row + 2 <= part->row_end; row += 2) two(p, row, panel);
        if (row < part->row_end) one(p, row, panel);
    }
}

void tt_int4_dynamic_avx2(const Int4 *p, const Int4Part *part) { run_tiles(p, part, dynamic_1, dynamic_2); }
void tt_int4_float_avx2(const Int4 *p, const Int4Part *part) { run_tiles(p, part, float_1, float_2); }

#include "end_isa.h"
#endif
