/* Rounding rows to int8 with AVX2. */
#include "int8_rows.h"

#ifdef TT_X86
#include <immintrin.h>
#include "begin_avx2.h"

static float scale_avx2(const float *x, int64_t n) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i largest = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i bits = _mm256_loadu_si256((const __m256i *)(x + i));
        largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, magnitude));
    }
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
    float scale = tt_int8_scale_of_largest(_mm_cvtsi128_si32(four));
    if (i == n) {
        return scale;
    }
    float rest = tt_int8_scale_portable(x + i, n - i);
    return rest != rest || rest > scale ? rest : scale; /* max|x| / 127 rises with max|x| */
}

/* Eight rounded ratios as bytes in the low half of the result; INT8_NAN where a ratio is NaN. */
static inline __m128i rounded_bytes(__m256 ratio) {
    const __m256 limit = _mm256_set1_ps(127.0f), low = _mm256_set1_ps(-127.0f);
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(ratio, ratio, _CMP_UNORD_Q));
    __m256i rounded = _mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(ratio, limit), low));
    rounded = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(INT8_NAN), nan);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    return _mm_packs_epi16(words, words);
}

static int round_avx2(const float *x, int64_t n, float scale, uint8_t flip, uint8_t *q) {
    const __m256 scales = _mm256_set1_ps(scale);
    const __m128i flips = _mm_set1_epi8((char)flip), nan = _mm_set1_epi8(INT8_NAN);
    __m128i nans = _mm_setzero_si128();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i bytes = rounded_bytes(_mm256_div_ps(_mm256_loadu_ps(x + i), scales));
        nans = _mm_or_si128(nans, _mm_cmpeq_epi8(bytes, nan));
        _mm_storel_epi64((__m128i *)(q + i), _mm_xor_si128(bytes, flips));
    }
    return _mm_movemask_epi8(nans) | tt_int8_round_portable(x + i, n - i, scale, flip, q + i);
}

const Int8Rows tt_int8_rows_avx2 = {scale_avx2, round_avx2};

#include "end_isa.h"
#endif
