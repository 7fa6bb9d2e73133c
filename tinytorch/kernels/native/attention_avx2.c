/* The decoding step of attention for AVX2. */
#include <math.h>
#include <string.h>

#include "attention.h"

#if TT_X86
#include <immintrin.h>
#define FMA 1
#define RUN(name) tt_##name##_avx2
#include "begin_avx2.h"

#define WIDTH 8
typedef __m256 Vector;

static inline Vector load(const float *x) { return _mm256_loadu_ps(x); }
static inline Vector load_bytes(const int8_t *x) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)x)));
}
static inline void store(float *x, Vector v) { _mm256_storeu_ps(x, v); }
static inline Vector splat(float x) { return _mm256_set1_ps(x); }
static inline Vector scaled_sum(Vector sum, Vector a, Vector b) { return _mm256_fmadd_ps(a, b, sum); }

/* Four sums of halves in each half: of v[0] to v[3]. */
static inline Vector halves(const Vector *v) {
    return _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
}

/* The sums of v[0], v[1], ... */
static inline Vector sums_of(const Vector *v) {
    const __m256 a = halves(v), b = halves(v + 4);
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

#include "attention_body.h"

#include "end_isa.h"
#endif
