/* Rounding rows to int8 with AVX-512. */
#include "int8_rows.h"

#ifdef TT_X86
#include <float.h>
#include <immintrin.h>
#include "begin_avx512.h"

static inline __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

static float scale_avx512(const float *x, int64_t n) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i largest = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i += 16) {
        __m512i bits = _mm512_maskz_loadu_epi32(first(n - i), x + i);
        largest = _mm512_max_epi32(largest, _mm512_and_si512(bits, magnitude));
    }
    return tt_int8_scale_of_largest(_mm512_reduce_max_epi32(largest));
}

/* Saturate and round ratios, flip and store the bytes of the lanes in `mask`; return the lanes that are NaN. */
static inline __mmask16 store_rounded(uint8_t *q, __mmask16 mask, __m512 ratio, __m128i flip) {
    const __m512 limit = _mm512_set1_ps(127.0f), low = _mm512_set1_ps(-127.0f);
    __mmask16 nan = _mm512_cmp_ps_mask(ratio, ratio, _CMP_UNORD_Q);
    __m512i rounded = _mm512_cvtps_epi32(_mm512_max_ps(_mm512_min_ps(ratio, limit), low));
    rounded = _mm512_mask_set1_epi32(rounded, nan, INT8_NAN);
    _mm_mask_storeu_epi8(q, mask, _mm_xor_si128(_mm512_cvtepi32_epi8(rounded), flip));
    return nan;
}

/* x / scale, or a number that rounds to the same integer within ±127: x times the reciprocal is off by less than 2**-15
   there, which matters next to a half only. A division takes four times as long. */
static inline __m512 ratio_of(__m512 x, __m512 scale, __m512 reciprocal) {
    const __m512 near_half = _mm512_set1_ps(0.5f - 0x1p-13f);
    __m512 ratio = _mm512_mul_ps(x, reciprocal);
    __m512 nearest = _mm512_roundscale_ps(ratio, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 distance = _mm512_abs_ps(_mm512_sub_ps(ratio, nearest));
    if (__builtin_expect(_mm512_cmp_ps_mask(distance, near_half, _CMP_GT_OQ), 0)) {
        return _mm512_div_ps(x, scale);
    }
    return ratio;
}

static int round_avx512(const float *x, int64_t n, float scale, uint8_t flip, uint8_t *q) {
    const int has_reciprocal = scale >= FLT_MIN && scale <= 0x1p125f; /* then 1 / scale is a normal number too */
    const __m512 scales = _mm512_set1_ps(scale), reciprocal = _mm512_set1_ps(1.0f / scale);
    const __m128i flips = _mm_set1_epi8((char)flip);
    __mmask16 nans = 0;
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 mask = first(n - i);
        const __m512 values = _mm512_mask_loadu_ps(scales, mask, x + i);
        const __m512 ratio = has_reciprocal ? ratio_of(values, scales, reciprocal) : _mm512_div_ps(values, scales);
        nans |= mask & store_rounded(q + i, mask, ratio, flips);
    }
    return nans != 0;
}

const Int8Rows tt_int8_rows_avx512 = {scale_avx512, round_avx512};

#include "end_isa.h"
#endif
