/* Convolution with AVX2: tiles of 6 pixels by one panel in float32, the sums in 12 of 16 registers, in int8 the same,
   whose products are those of int16 pairs: exact, and fewer instructions than with bytes where there is no VNNI. */
#include "conv_winograd.h"
#ifdef TT_X86
#include <immintrin.h>
#include <string.h>
#include "begin_avx2.h"

enum { PIXELS = 6, PARTS = LANES / 8 };
#define INLINE static inline __attribute__((always_inline))

/* Adds what is to be added to the results for one pixel and panel, applies the activation, and stores them. */
INLINE void finish(const ConvBlock *b, const __m256 y[PARTS], int64_t pixel, int64_t panel) {
    const int64_t at = pixel * b->outputs + panel * LANES, left = b->outputs - panel * LANES;
    for (int j = 0; j < PARTS; j++) {
        __m256 value = y[j];
        __m256i lanes = _mm256_cmpgt_epi32(
            _mm256_set1_epi32((int)(left < LANES ? left : LANES) - 8 * j), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        if (b->addend)
            value = _mm256_add_ps(value, _mm256_maskload_ps(b->addend + at + 8 * j, lanes));
        if (b->act == ACT_RELU)
            value = _mm256_max_ps(_mm256_setzero_ps(), value); /* in this order a NaN stays a NaN */
        if (left >= LANES)
            _mm256_storeu_ps(b->out + at + 8 * j, value);
        else
            _mm256_maskstore_ps(b->out + at + 8 * j, lanes, value);
    }
}

INLINE void f32_sums(const ConvBlock *b, const char **window, int64_t panel, __m256 sum[PIXELS][PARTS]) {
    const float *w = (const float *)(b->weights + panel * b->panel_bytes);
    for (int64_t row = 0; row < b->window_rows; row++) {
        for (int64_t k = 0; k < b->groups; k++, w += LANES) {
            __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps(w + 8);
#pragma GCC unroll 6
            for (int i = 0; i < PIXELS; i++) {
                __m256 x = _mm256_set1_ps(((const float *)window[i])[k]);
                sum[i][0] = _mm256_fmadd_ps(x, w0, sum[i][0]);
                sum[i][1] = _mm256_fmadd_ps(x, w1, sum[i][1]);
            }
        }
#pragma GCC unroll 6
        for (int i = 0; i < PIXELS; i++)
            window[i] += b->window_row_bytes;
    }
}

static void f32_block(const ConvBlock *b) {
    for (int64_t panel = 0; panel * LANES < b->outputs; panel++) {
        ConvCursor at = {b->image, b->image, 0};
        for (int64_t pixel = 0; pixel < b->pixels; pixel += PIXELS) {
            const char *window[PIXELS];
            __m256 sum[PIXELS][PARTS];
            conv_next_pixels(b, &at, window, PIXELS, b->pixels - pixel);
#pragma GCC unroll 6
            for (int i = 0; i < PIXELS; i++)
                for (int j = 0; j < PARTS; j++)
                    sum[i][j] = _mm256_loadu_ps(b->bias + panel * LANES + 8 * j);
            f32_sums(b, window, panel, sum);
#pragma GCC unroll 6
            for (int i = 0; i < PIXELS; i++)
                if (pixel + i < b->pixels)
                    finish(b, sum[i], pixel + i, panel);
        }
    }
}

INLINE __m256i rounded(__m256 v) {
    v = _mm256_min_ps(v, _mm256_set1_ps(127.0f)); /* in this order a NaN becomes 127 */
    return _mm256_cvtps_epi32(_mm256_max_ps(v, _mm256_set1_ps(-127.0f)));
}

static int to_i16(const float *x, int64_t count, float scale, void *out) {
    const __m256 divisor = _mm256_set1_ps(scale);
    __m256 nan = _mm256_setzero_ps();
    int16_t *q = out;
    for (int64_t i = 0; i < count; i += 8) {
        int left = (int)(count - i < 8 ? count - i : 8);
        __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        /* Lanes beyond the end are 0 / scale, and do not count as NaN where the scale is 0. */
        __m256 v = _mm256_div_ps(_mm256_maskload_ps(x + i, lanes), divisor);
        nan = _mm256_or_ps(nan, _mm256_and_ps(_mm256_castsi256_ps(lanes), _mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
        __m256i words = rounded(v);
        __m128i eight = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        if (left == 8)
            _mm_storeu_si128((__m128i *)(q + i), eight);
        else
            memcpy(q + i, &eight, (size_t)(2 * left));
    }
    return _mm256_movemask_ps(nan) != 0;
}

static int32_t largest(const float *x, int64_t count) {
    const __m256i magnitude = _mm256_set1_epi32(INT32_MAX);
    __m256i most[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    int64_t i = 0;
    for (; i + 32 <= count; i += 32)
        for (int j = 0; j < 4; j++) {
            __m256i bits = _mm256_loadu_si256((const __m256i *)(x + i + 8 * j));
            most[j] = _mm256_max_epi32(most[j], _mm256_and_si256(bits, magnitude));
        }
    int32_t each[8], result = 0;
    most[0] = _mm256_max_epi32(_mm256_max_epi32(most[0], most[1]), _mm256_max_epi32(most[2], most[3]));
    memcpy(each, most, sizeof each);
    for (int j = 0; j < 8; j++)
        result = each[j] > result ? each[j] : result;
    for (; i < count; i++) {
        int32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= INT32_MAX;
        result = bits > result ? bits : result;
    }
    return result;
}

INLINE void i8_sums(const ConvBlock *b, const char **window, int64_t panel, __m256i sum[PIXELS][PARTS]) {
    const char *w = b->weights + panel * b->panel_bytes;
    for (int64_t row = 0; row < b->window_rows; row++) {
        for (int64_t k = 0; k < b->groups; k++, w += 4 * LANES) {
            __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
#pragma GCC unroll 6
            for (int i = 0; i < PIXELS; i++) {
                int32_t pair;
                memcpy(&pair, window[i] + 4 * k, 4);
                __m256i x = _mm256_set1_epi32(pair);
                sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(x, w0));
                sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(x, w1));
            }
        }
#pragma GCC unroll 6
        for (int i = 0; i < PIXELS; i++)
            window[i] += b->window_row_bytes;
    }
}

INLINE void dequantize(const ConvBlock *b, const __m256i sum[PARTS], int64_t panel, __m256 y[PARTS]) {
    for (int j = 0; j < PARTS; j++) {
        const int64_t at = panel * LANES + 8 * j;
        __m256 scale = _mm256_mul_ps(_mm256_set1_ps(b->x_scale), _mm256_loadu_ps(b->scale + at));
        /* Two roundings, as the reference has them: no fused multiply-add. */
        y[j] = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum[j]), scale), _mm256_loadu_ps(b->bias + at));
    }
}

static void i8_block(const ConvBlock *b) {
    for (int64_t panel = 0; panel * LANES < b->outputs; panel++) {
        ConvCursor at = {b->image, b->image, 0};
        for (int64_t pixel = 0; pixel < b->pixels; pixel += PIXELS) {
            const char *window[PIXELS];
            __m256i sum[PIXELS][PARTS];
            __m256 y[PARTS];
            conv_next_pixels(b, &at, window, PIXELS, b->pixels - pixel);
#pragma GCC unroll 6
            for (int i = 0; i < PIXELS; i++)
                sum[i][0] = sum[i][1] = _mm256_setzero_si256();
            i8_sums(b, window, panel, sum);
#pragma GCC unroll 6
            for (int i = 0; i < PIXELS; i++)
                if (pixel + i < b->pixels) {
                    dequantize(b, sum[i], panel, y);
                    finish(b, y, pixel + i, panel);
                }
        }
    }
}

#include "end_isa.h"

const ConvPath tt_conv_f32_avx2 = {4, 4, 1, 0, 0, NULL, largest, f32_block, &tt_winograd_avx2};
const ConvPath tt_conv_i8_avx2 = {2, 2, 2, 0, 0, to_i16, largest, i8_block, NULL};
#endif
