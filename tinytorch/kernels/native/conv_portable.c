/* Convolution for any processor: vectors of 4 as the compiler maps them, tiles of 2 pixels by one panel. int8 is
   multiplied as pairs of int16, for which even the oldest x86 instruction set has an instruction. */
#include "conv_winograd.h"
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { PIXELS = 2, PARTS = LANES / 4 };
#define INLINE static inline __attribute__((always_inline))

typedef float Floats __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint32_t Sums __attribute__((vector_size(16), aligned(4), may_alias)); /* unsigned: wraps where int32 would be undefined */
typedef int32_t Ints __attribute__((vector_size(16), aligned(4), may_alias));

INLINE Floats activated(Floats value, int act) {
    return act == ACT_RELU ? (Floats)((Ints)value & ~(Ints)(value < 0)) : value; /* a NaN stays a NaN */
}

/* Adds what is to be added to the results for one pixel and panel, applies the activation, and stores them. */
INLINE void finish(const ConvBlock *b, const Floats y[PARTS], int64_t pixel, int64_t panel) {
    const int64_t at = pixel * b->outputs + panel * LANES, left = b->outputs - panel * LANES;
    float rest[LANES] = {0}, *out = b->out + at;
    const float *addend = b->addend ? b->addend + at : rest;
    if (left < LANES) {
        if (b->addend)
            memcpy(rest, addend, (size_t)(4 * left));
        addend = out = rest;
    }
    for (int j = 0; j < PARTS; j++) {
        Floats value = y[j];
        if (b->addend)
            value += *(const Floats *)(addend + 4 * j);
        *(Floats *)(out + 4 * j) = activated(value, b->act);
    }
    if (left < LANES)
        memcpy(b->out + at, rest, (size_t)(4 * left));
}

INLINE void f32_sums(const ConvBlock *b, const char **window, int64_t panel, Floats sum[PIXELS][PARTS]) {
    const float *w = (const float *)(b->weights + panel * b->panel_bytes);
    for (int64_t row = 0; row < b->window_rows; row++) {
        for (int64_t k = 0; k < b->groups; k++, w += LANES)
            for (int i = 0; i < PIXELS; i++) {
                float x = ((const float *)window[i])[k];
                for (int j = 0; j < PARTS; j++)
                    sum[i][j] += x * *(const Floats *)(w + 4 * j);
            }
        for (int i = 0; i < PIXELS; i++)
            window[i] += b->window_row_bytes;
    }
}

static void f32_block(const ConvBlock *b) {
    for (int64_t panel = 0; panel * LANES < b->outputs; panel++) {
        ConvCursor at = {b->image, b->image, 0};
        const Floats *bias = (const Floats *)(b->bias + panel * LANES);
        for (int64_t pixel = 0; pixel < b->pixels; pixel += PIXELS) {
            const char *window[PIXELS];
            Floats sum[PIXELS][PARTS];
            conv_next_pixels(b, &at, window, PIXELS, b->pixels - pixel);
            for (int i = 0; i < PIXELS; i++)
                for (int j = 0; j < PARTS; j++)
                    sum[i][j] = bias[j];
            f32_sums(b, window, panel, sum);
            for (int i = 0; i < PIXELS && pixel + i < b->pixels; i++)
                finish(b, sum[i], pixel + i, panel);
        }
    }
}

static int to_i16(const float *x, int64_t count, float scale, void *out) {
    int16_t *q = out;
    int has_nan = 0;
    for (int64_t i = 0; i < count; i++) {
        float v = x[i] / scale;
        has_nan |= v != v;
        v = v < 127.0f ? v : 127.0f;
        v = v > -127.0f ? v : -127.0f;
        v += 0x1.8p23f; /* here the last bit is worth 1, so that the addition rounds, half to even */
        int32_t bits;
        memcpy(&bits, &v, 4);
        q[i] = (int16_t)(bits - 0x4B400000);
    }
    return has_nan;
}

static int32_t largest(const float *x, int64_t count) {
    int32_t result = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= INT32_MAX;
        result = bits > result ? bits : result;
    }
    return result;
}

/* sum + two products of int16 in each of 4 lanes. */
INLINE Sums dot(Sums sum, const char *pair, const int16_t *w) {
#ifdef __SSE2__
    int32_t both;
    memcpy(&both, pair, 4);
    return (Sums)_mm_add_epi32((__m128i)sum, _mm_madd_epi16(_mm_set1_epi32(both), *(const __m128i_u *)w));
#else
    int16_t x[2];
    memcpy(x, pair, 4);
    for (int i = 0; i < 4; i++)
        sum[i] += (uint32_t)(x[0] * w[2 * i]) + (uint32_t)(x[1] * w[2 * i + 1]);
    return sum;
#endif
}

INLINE void i8_sums(const ConvBlock *b, const char **window, int64_t panel, Sums sum[PIXELS][PARTS]) {
    const int16_t *w = (const int16_t *)(b->weights + panel * b->panel_bytes);
    for (int64_t row = 0; row < b->window_rows; row++) {
        for (int64_t k = 0; k < b->groups; k++, w += 2 * LANES)
            for (int i = 0; i < PIXELS; i++)
                for (int j = 0; j < PARTS; j++)
                    sum[i][j] = dot(sum[i][j], window[i] + 4 * k, w + 8 * j);
        for (int i = 0; i < PIXELS; i++)
            window[i] += b->window_row_bytes;
    }
}

INLINE void dequantize(const ConvBlock *b, const Sums sum[PARTS], int64_t panel, Floats y[PARTS]) {
    const Floats *scale = (const Floats *)(b->scale + panel * LANES), *bias = (const Floats *)(b->bias + panel * LANES);
    for (int j = 0; j < PARTS; j++)
        y[j] = __builtin_convertvector((Ints)sum[j], Floats) * (b->x_scale * scale[j]) + bias[j];
}

static void i8_block(const ConvBlock *b) {
    for (int64_t panel = 0; panel * LANES < b->outputs; panel++) {
        ConvCursor at = {b->image, b->image, 0};
        for (int64_t pixel = 0; pixel < b->pixels; pixel += PIXELS) {
            const char *window[PIXELS];
            Sums sum[PIXELS][PARTS] = {{{0}}};
            Floats y[PARTS];
            conv_next_pixels(b, &at, window, PIXELS, b->pixels - pixel);
            i8_sums(b, window, panel, sum);
            for (int i = 0; i < PIXELS && pixel + i < b->pixels; i++) {
                dequantize(b, sum[i], panel, y);
                finish(b, y, pixel + i, panel);
            }
        }
    }
}

const ConvPath tt_conv_f32_portable = {4, 4, 1, 0, 0, NULL, largest, f32_block, &tt_winograd_portable};
const ConvPath tt_conv_i8_portable = {2, 2, 2, 0, 0, to_i16, largest, i8_block, NULL};
