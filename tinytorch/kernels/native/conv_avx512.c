/* Convolution with AVX-512: tiles of 8 pixels by one or two panels, the sums in 8 or 16 registers. */
#include "conv_winograd.h"
#ifdef TT_X86
#include <immintrin.h>
#include <string.h>
#include "begin_avx512.h"

enum { PIXELS = 8 };
#define INLINE static inline __attribute__((always_inline))

INLINE __mmask16 lanes_of(const ConvBlock *b, int64_t panel) {
    int64_t left = b->outputs - panel * LANES;
    return left >= LANES ? 0xFFFF : (__mmask16)((1u << left) - 1);
}

/* Adds what is to be added to the results for one pixel and panel, applies the activation, and stores them. */
INLINE void finish(const ConvBlock *b, __m512 y, int64_t pixel, int64_t panel, __mmask16 lanes) {
    int64_t at = pixel * b->outputs + panel * LANES;
    if (b->addend)
        y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(lanes, b->addend + at));
    if (b->act == ACT_RELU)
        y = _mm512_max_ps(_mm512_setzero_ps(), y); /* in this order a NaN stays a NaN */
    _mm512_mask_storeu_ps(b->out + at, lanes, y);
}

INLINE void f32_sums(const ConvBlock *b, const char **window, int64_t panel, const int panels, __m512 sum[PIXELS][2]) {
    const float *w = (const float *)(b->weights + panel * b->panel_bytes);
    const int64_t next = b->panel_bytes / 4;
    for (int64_t row = 0; row < b->window_rows; row++) {
        for (int64_t k = 0; k < b->groups; k++, w += LANES) {
            __m512 w0 = _mm512_loadu_ps(w), w1 = panels > 1 ? _mm512_loadu_ps(w + next) : w0;
#pragma GCC unroll 8
            for (int i = 0; i < PIXELS; i++) {
                __m512 x = _mm512_set1_ps(((const float *)window[i])[k]);
                sum[i][0] = _mm512_fmadd_ps(x, w0, sum[i][0]);
                if (panels > 1)
                    sum[i][1] = _mm512_fmadd_ps(x, w1, sum[i][1]);
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
            window[i] += b->window_row_bytes;
    }
}

INLINE void f32_panels(const ConvBlock *b, int64_t panel, const int panels) {
    const int is_plain = !b->addend && b->act == ACT_NONE && (panel + panels) * LANES <= b->outputs; /* sums are results */
    ConvCursor at = {b->image, b->image, 0};
    for (int64_t pixel = 0; pixel < b->pixels; pixel += PIXELS) {
        const char *window[PIXELS];
        __m512 sum[PIXELS][2];
        conv_next_pixels(b, &at, window, PIXELS, b->pixels - pixel);
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
            for (int j = 0; j < panels; j++)
                sum[i][j] = _mm512_loadu_ps(b->bias + (panel + j) * LANES);
        f32_sums(b, window, panel, panels, sum);
        if (is_plain && pixel + PIXELS <= b->pixels) {
#pragma GCC unroll 8
            for (int i = 0; i < PIXELS; i++)
                for (int j = 0; j < panels; j++)
                    _mm512_storeu_ps(b->out + (pixel + i) * b->outputs + (panel + j) * LANES, sum[i][j]);
            continue;
        }
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
            for (int j = 0; j < panels && pixel + i < b->pixels; j++)
                finish(b, sum[i][j], pixel + i, panel + j, lanes_of(b, panel + j));
    }
}

static void f32_block(const ConvBlock *b) {
    int64_t panels = (b->outputs + LANES - 1) / LANES, panel = 0;
    for (; panel + 2 <= panels; panel += 2)
        f32_panels(b, panel, 2);
    if (panel < panels)
        f32_panels(b, panel, 1);
}

/* Unsigned bytes q + 128, for dot products of unsigned with signed; a sum begins with -128 times that of its weights. */
static int to_u8(const float *x, int64_t count, float scale, void *out) {
    const __m512 divisor = _mm512_set1_ps(scale), limit = _mm512_set1_ps(127.0f), least = _mm512_set1_ps(-127.0f);
    __mmask16 nan = 0;
    for (int64_t i = 0; i < count; i += LANES) {
        __mmask16 lanes = count - i >= LANES ? 0xFFFF : (__mmask16)((1u << (count - i)) - 1);
        __m512 v = _mm512_div_ps(_mm512_maskz_loadu_ps(lanes, x + i), divisor);
        nan |= _mm512_mask_cmp_ps_mask(lanes, v, v, _CMP_UNORD_Q);
        __m512i q = _mm512_cvtps_epi32(_mm512_max_ps(_mm512_min_ps(v, limit), least));
        __m128i bytes = _mm_xor_si128(_mm512_cvtepi32_epi8(q), _mm_set1_epi8((char)0x80));
        _mm_mask_storeu_epi8((char *)out + i, lanes, bytes);
    }
    return nan != 0;
}

static int32_t largest(const float *x, int64_t count) {
    const __m512i magnitude = _mm512_set1_epi32(INT32_MAX);
    __m512i most[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    int64_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (int j = 0; j < 4; j++)
            most[j] = _mm512_max_epi32(most[j], _mm512_and_si512(_mm512_loadu_si512(x + i + LANES * j), magnitude));
    for (; i < count; i += LANES) {
        __mmask16 lanes = count - i >= LANES ? 0xFFFF : (__mmask16)((1u << (count - i)) - 1);
        most[0] = _mm512_max_epi32(most[0], _mm512_and_si512(_mm512_maskz_loadu_epi32(lanes, x + i), magnitude));
    }
    most[0] = _mm512_max_epi32(_mm512_max_epi32(most[0], most[1]), _mm512_max_epi32(most[2], most[3]));
    return _mm512_reduce_max_epi32(most[0]);
}

INLINE __m512i four_bytes(const char *at) {
    int32_t word;
    memcpy(&word, at, 4);
    return _mm512_set1_epi32(word);
}

INLINE void i8_sums(const ConvBlock *b, const char **window, int64_t panel, const int panels, __m512i sum[PIXELS][2]) {
    const char *w = b->weights + panel * b->panel_bytes;
    for (int64_t row = 0; row < b->window_rows; row++) {
        for (int64_t k = 0; k < b->groups; k++, w += 4 * LANES) {
            __m512i w0 = _mm512_loadu_si512(w), w1 = panels > 1 ? _mm512_loadu_si512(w + b->panel_bytes) : w0;
#pragma GCC unroll 8
            for (int i = 0; i < PIXELS; i++) {
                __m512i x = four_bytes(window[i] + 4 * k);
                sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], x, w0);
                if (panels > 1)
                    sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], x, w1);
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
            window[i] += b->window_row_bytes;
    }
}

INLINE __m512 dequantized(const ConvBlock *b, __m512i sum, int64_t panel) {
    __m512 scale = _mm512_mul_ps(_mm512_set1_ps(b->x_scale), _mm512_loadu_ps(b->scale + panel * LANES));
    /* Two roundings, as the reference has them: no fused multiply-add. */
    return _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale), _mm512_loadu_ps(b->bias + panel * LANES));
}

INLINE void i8_panels(const ConvBlock *b, int64_t panel, const int panels) {
    ConvCursor at = {b->image, b->image, 0};
    for (int64_t pixel = 0; pixel < b->pixels; pixel += PIXELS) {
        const char *window[PIXELS];
        __m512i sum[PIXELS][2];
        conv_next_pixels(b, &at, window, PIXELS, b->pixels - pixel);
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
            for (int j = 0; j < panels; j++)
                sum[i][j] = _mm512_loadu_si512(b->start + (panel + j) * LANES);
        i8_sums(b, window, panel, panels, sum);
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
            for (int j = 0; j < panels && pixel + i < b->pixels; j++)
                finish(b, dequantized(b, sum[i][j], panel + j), pixel + i, panel + j, lanes_of(b, panel + j));
    }
}

static void i8_block(const ConvBlock *b) {
    int64_t panels = (b->outputs + LANES - 1) / LANES, panel = 0;
    for (; panel + 2 <= panels; panel += 2)
        i8_panels(b, panel, 2);
    if (panel < panels)
        i8_panels(b, panel, 1);
}

#include "end_isa.h"

const ConvPath tt_conv_f32_avx512 = {4, 4, 1, 0, 0, NULL, largest, f32_block, &tt_winograd_avx512};
const ConvPath tt_conv_i8_avx512 = {1, 1, 4, 0x80, -128, to_u8, largest, i8_block, NULL};
#endif
