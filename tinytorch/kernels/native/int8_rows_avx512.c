/* Rounding rows to int8 with AVX-512. */
#include "int8_rows.h"

#ifdef TT_X86
#include <float.h>
#include <immintrin.h>
#include "begin_avx512.h"

enum { LANES = 16, FOUR = 4 * LANES };

static inline __mmask16 first(int64_t n) { return n >= LANES ? 0xffff : (__mmask16)((1u << n) - 1); }

static float scale_avx512(const float *x, int64_t n) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i largest = _mm512_setzero_si512(), other = largest;
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        largest = _mm512_max_epi32(largest, _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude));
        other = _mm512_max_epi32(other, _mm512_and_si512(_mm512_loadu_si512(x + i + LANES), magnitude));
    }
    for (; i < n; i += LANES) {
        const __m512i bits = _mm512_maskz_loadu_epi32(first(n - i), x + i);
        largest = _mm512_max_epi32(largest, _mm512_and_si512(bits, magnitude));
    }
    return tt_int8_scale_of_largest(_mm512_reduce_max_epi32(_mm512_max_epi32(largest, other)));
}

/* Up to 16 numbers by division; return the lanes that are NaN. */
static inline __mmask16 divide(const float *x, int64_t n, __m512 scale, __m128i flip, uint8_t *q) {
    const __m512 limit = _mm512_set1_ps(127.0f), low = _mm512_set1_ps(-127.0f);
    const __mmask16 mask = first(n);
    const __m512 ratio = _mm512_div_ps(_mm512_maskz_loadu_ps(mask, x), scale);
    const __mmask16 nan = _mm512_cmp_ps_mask(ratio, ratio, _CMP_UNORD_Q);
    __m512i rounded = _mm512_cvtps_epi32(_mm512_max_ps(_mm512_min_ps(ratio, limit), low));
    rounded = _mm512_mask_set1_epi32(rounded, nan, INT8_NAN);
    _mm_mask_storeu_epi8(q, mask, _mm_xor_si128(_mm512_cvtepi32_epi8(rounded), flip));
    return mask & nan;
}

/* 64 numbers without a division, which takes four times as long. `below` and `above` are reciprocals of the scale that are
   a little too small and too large: a ratio lies between the products with them, so where both round to the same integer,
   it does too. Where they do not, and where a number is NaN or below -127, nothing is stored and 0 returned. */
static inline int multiply(const float *x, __m512 below, __m512 above, __m512i flip, uint8_t *q) {
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i part[4], difference = _mm512_setzero_si512();
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
        const __m512 values = _mm512_loadu_ps(x + i * LANES);
        part[i] = _mm512_cvtps_epi32(_mm512_mul_ps(values, below));
        const __m512i other = _mm512_cvtps_epi32(_mm512_mul_ps(values, above));
        difference = _mm512_or_si512(difference, _mm512_xor_si512(part[i], other));
    }
    /* Saturates at -128, which a NaN and what exceeds 32 bits become too. */
    __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(part[0], part[1]), _mm512_packs_epi32(part[2], part[3]));
    if (__builtin_expect(_mm512_test_epi32_mask(difference, difference) != 0, 0) ||
        __builtin_expect(_mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(INT8_NAN)) != 0, 0)) {
        return 0;
    }
    bytes = _mm512_permutexvar_epi32(in_order, bytes); /* the packs work within quarters */
    _mm512_storeu_si512(q, _mm512_xor_si512(bytes, flip));
    return 1;
}

static int round_avx512(const float *x, int64_t n, float scale, uint8_t flip, uint8_t *q) {
    const __m512 scales = _mm512_set1_ps(scale);
    const __m512 below = _mm512_set1_ps(1.0f / scale * (1.0f - 0x1p-21f));
    const __m512 above = _mm512_set1_ps(1.0f / scale * (1.0f + 0x1p-21f));
    const __m512i flips = _mm512_set1_epi8((char)flip);
    const __m128i flip_one = _mm512_castsi512_si128(flips);
    __mmask16 nans = 0;
    int64_t i = 0;
    if (scale >= FLT_MIN && scale <= 0x1p125f) { /* then its reciprocal is a normal number too */
        for (; i + FOUR <= n; i += FOUR) {
            if (!multiply(x + i, below, above, flips, q + i)) {
                for (int part = 0; part < FOUR; part += LANES) {
                    nans |= divide(x + i + part, LANES, scales, flip_one, q + i + part);
                }
            }
        }
    }
    for (; i < n; i += LANES) {
        nans |= divide(x + i, n - i, scales, flip_one, q + i);
    }
    return nans != 0;
}

const Int8Rows tt_int8_rows_avx512 = {scale_avx512, round_avx512};

#include "end_isa.h"
#endif
