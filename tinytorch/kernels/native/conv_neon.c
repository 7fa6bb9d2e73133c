/* Convolution with NEON: tiles of 4 pixels by one panel, the sums in 16 of 32 registers; int8 by dot products of four. */
#include "conv_winograd.h"
#ifdef TT_ARM
#include <arm_neon.h>
#include <string.h>
#include "begin_neon.h"

enum { PIXELS = 4, PARTS = LANES / 4 };
#define INLINE static inline __attribute__((always_inline))

/* Adds what is to be added to the results for one pixel and panel, applies the activation, and stores them. */
INLINE void finish(const ConvBlock *b, const float32x4_t y[PARTS], int64_t pixel, int64_t panel) {
    const int64_t at = pixel * b->outputs + panel * LANES, left = b->outputs - panel * LANES;
    float rest[LANES] = {0}, *out = b->out + at;
    const float *addend = b->addend ? b->addend + at : rest;
    if (left < LANES) {
        if (b->addend)
            memcpy(rest, addend, (size_t)(4 * left));
        addend = out = rest;
    }
    for (int j = 0; j < PARTS; j++) {
        float32x4_t value = y[j];
        if (b->addend)
            value = vaddq_f32(value, vld1q_f32(addend + 4 * j));
        if (b->act == ACT_RELU)
            value = vmaxq_f32(value, vdupq_n_f32(0)); /* a NaN stays a NaN */
        vst1q_f32(out + 4 * j, value);
    }
    if (left < LANES)
        memcpy(b->out + at, rest, (size_t)(4 * left));
}

INLINE void f32_sums(const ConvBlock *b, const char **window, int64_t panel, float32x4_t sum[PIXELS][PARTS]) {
    const float *w = (const float *)(b->weights + panel * b->panel_bytes);
    for (int64_t row = 0; row < b->window_rows; row++) {
        for (int64_t k = 0; k < b->groups; k++, w += LANES) {
            const float32x4_t part[PARTS] = {vld1q_f32(w), vld1q_f32(w + 4), vld1q_f32(w + 8), vld1q_f32(w + 12)};
            for (int i = 0; i < PIXELS; i++) {
                float32x4_t x = vdupq_n_f32(((const float *)window[i])[k]);
                for (int j = 0; j < PARTS; j++)
                    sum[i][j] = vfmaq_f32(sum[i][j], part[j], x);
            }
        }
        for (int i = 0; i < PIXELS; i++)
            window[i] += b->window_row_bytes;
    }
}

static void f32_block(const ConvBlock *b) {
    for (int64_t panel = 0; panel * LANES < b->outputs; panel++) {
        ConvCursor at = {b->image, b->image, 0};
        for (int64_t pixel = 0; pixel < b->pixels; pixel += PIXELS) {
            const char *window[PIXELS];
            float32x4_t sum[PIXELS][PARTS];
            conv_next_pixels(b, &at, window, PIXELS, b->pixels - pixel);
            for (int i = 0; i < PIXELS; i++)
                for (int j = 0; j < PARTS; j++)
                    sum[i][j] = vld1q_f32(b->bias + panel * LANES + 4 * j);
            f32_sums(b, window, panel, sum);
            for (int i = 0; i < PIXELS; i++)
                if (pixel + i < b->pixels)
                    finish(b, sum[i], pixel + i, panel);
        }
    }
}

INLINE int16x4_t rounded(float32x4_t v) {
    v = vmaxq_f32(vminq_f32(v, vdupq_n_f32(127)), vdupq_n_f32(-127));
    return vmovn_s32(vcvtnq_s32_f32(v)); /* half to even; a NaN becomes 0 */
}

static int to_i8(const float *x, int64_t count, float scale, void *out) {
    const float32x4_t divisor = vdupq_n_f32(scale);
    int has_nan = 0;
    for (int64_t i = 0; i < count; i += 8) {
        const size_t left = count - i < 8 ? (size_t)(count - i) : 8;
        float eight[8] = {1, 1, 1, 1, 1, 1, 1, 1};
        memcpy(eight, x + i, 4 * left);
        float32x4_t low = vdivq_f32(vld1q_f32(eight), divisor), high = vdivq_f32(vld1q_f32(eight + 4), divisor);
        has_nan |= vminvq_u32(vandq_u32(vceqq_f32(low, low), vceqq_f32(high, high))) == 0;
        int8x8_t bytes = vmovn_s16(vcombine_s16(rounded(low), rounded(high)));
        memcpy((char *)out + i, &bytes, left);
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

INLINE void i8_sums(const ConvBlock *b, const char **window, int64_t panel, int32x4_t sum[PIXELS][PARTS]) {
    const int8_t *w = (const int8_t *)(b->weights + panel * b->panel_bytes);
    for (int64_t row = 0; row < b->window_rows; row++) {
        for (int64_t k = 0; k < b->groups; k++, w += 4 * LANES) {
            const int8x16_t part[PARTS] = {vld1q_s8(w), vld1q_s8(w + 16), vld1q_s8(w + 32), vld1q_s8(w + 48)};
            for (int i = 0; i < PIXELS; i++) {
                int32_t four;
                memcpy(&four, window[i] + 4 * k, 4);
                int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(four));
                for (int j = 0; j < PARTS; j++)
                    sum[i][j] = vdotq_s32(sum[i][j], part[j], x);
            }
        }
        for (int i = 0; i < PIXELS; i++)
            window[i] += b->window_row_bytes;
    }
}

INLINE void dequantize(const ConvBlock *b, const int32x4_t sum[PARTS], int64_t panel, float32x4_t y[PARTS]) {
    for (int j = 0; j < PARTS; j++) {
        const int64_t at = panel * LANES + 4 * j;
        float32x4_t scale = vmulq_f32(vdupq_n_f32(b->x_scale), vld1q_f32(b->scale + at));
        /* Two roundings, as the reference has them: no fused multiply-add. */
        y[j] = vaddq_f32(vmulq_f32(vcvtq_f32_s32(sum[j]), scale), vld1q_f32(b->bias + at));
    }
}

static void i8_block(const ConvBlock *b) {
    for (int64_t panel = 0; panel * LANES < b->outputs; panel++) {
        ConvCursor at = {b->image, b->image, 0};
        for (int64_t pixel = 0; pixel < b->pixels; pixel += PIXELS) {
            const char *window[PIXELS];
            int32x4_t sum[PIXELS][PARTS];
            float32x4_t y[PARTS];
            conv_next_pixels(b, &at, window, PIXELS, b->pixels - pixel);
            for (int i = 0; i < PIXELS; i++)
                for (int j = 0; j < PARTS; j++)
                    sum[i][j] = vdupq_n_s32(0);
            i8_sums(b, window, panel, sum);
            for (int i = 0; i < PIXELS; i++)
                if (pixel + i < b->pixels) {
                    dequantize(b, sum[i], panel, y);
                    finish(b, y, pixel + i, panel);
                }
        }
    }
}

#include "end_isa.h"

const ConvPath tt_conv_f32_neon = {4, 4, 1, 0, 0, NULL, largest, f32_block, &tt_winograd_portable};
const ConvPath tt_conv_i8_neon = {1, 1, 4, 0, 0, to_i8, largest, i8_block, NULL};
#endif
