/* Rounding rows to int8 in plain C, written so that any compiler vectorizes it, and the choice by instruction set. */
#include "int8_rows.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Adding 1.5 * 2**23 to a number within ±2**22 leaves its nearest integer in the low bits of the float, two's complement,
   halves rounded to even. rintf() would be a call where the processor is not known to have a rounding instruction. */
static const float ROUNDER = 12582912.0f;

static inline int32_t bits_of(float value) {
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float tt_int8_scale_of_largest(int32_t bits) {
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    if (isinf(largest)) {
        return NAN;
    }
    return (largest < 127.0f * FLT_MIN ? 127.0f * FLT_MIN : largest) / 127.0f;
}

/* The bits of |x| order as |x| does, with infinity above every number and the NaNs above infinity. */
float tt_int8_scale_portable(const float *x, int64_t n) {
    int32_t largest = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits = bits_of(x[i]) & 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    return tt_int8_scale_of_largest(largest);
}

int tt_int8_round_portable(const float *x, int64_t n, float scale, uint8_t flip, uint8_t *q) {
    int32_t nans = 0;
    for (int64_t i = 0; i < n; i++) {
        float ratio = x[i] / scale;
        int32_t is_nan = ratio != ratio;
        ratio = ratio > 127.0f ? 127.0f : ratio;
        ratio = ratio < -127.0f ? -127.0f : ratio;
        uint8_t rounded = is_nan ? (uint8_t)INT8_NAN : (uint8_t)bits_of(ratio + ROUNDER);
        nans |= is_nan;
        q[i] = rounded ^ flip;
    }
    return nans;
}

float tt_int8_row(const Int8Rows *rows, const float *x, int64_t n, const float *scale, uint8_t flip, uint8_t *q) {
    float row_scale = scale ? *scale : rows->dynamic_scale(x, n);
    if ((isnan(row_scale) || rows->round(x, n, row_scale, flip, q))) {
        memset(q, flip, (size_t)n);
        return NAN;
    }
    return row_scale;
}

static const Int8Rows portable = {tt_int8_scale_portable, tt_int8_round_portable};

const Int8Rows *tt_int8_rows(int isa) {
#ifdef TT_X86
    if (isa == ISA_AVX512) {
        return &tt_int8_rows_avx512;
    }
    if (isa == ISA_AVX2) {
        return &tt_int8_rows_avx2;
    }
#endif
    (void)isa;
    return &portable;
}
