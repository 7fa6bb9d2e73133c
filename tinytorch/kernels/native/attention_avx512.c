/* The decoding step of attention for AVX-512. */
#include <math.h>
#include <string.h>

#include "attention.h"

#if TT_X86
#include <immintrin.h>
#define FMA 1
#define RUN(name) tt_##name##_avx512
#include "begin_avx512.h"

#define WIDTH 16
typedef __m512 Vector;

static inline Vector load(const float *x) { return _mm512_loadu_ps(x); }
static inline Vector load_bytes(const int8_t *x) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)x)));
}
static inline void store(float *x, Vector v) { _mm512_storeu_ps(x, v); }
static inline Vector splat(float x) { return _mm512_set1_ps(x); }
static inline Vector scaled_sum(Vector sum, Vector a, Vector b) { return _mm512_fmadd_ps(a, b, sum); }

/* Four sums of quarters in each quarter: of v[0] to v[3]. */
static inline Vector quarters(const Vector *v) {
    const __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    const __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    const __m512d c = _mm512_castps_pd(a), d = _mm512_castps_pd(b);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(c, d)), _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)));
}

static inline Vector halves(Vector a, Vector b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

/* The sums of v[0], v[1], ... */
static inline Vector sums_of(const Vector *v) {
    return halves(halves(quarters(v), quarters(v + 4)), halves(quarters(v + 8), quarters(v + 12)));
}

#include "attention_body.h"

#include "end_isa.h"
#endif
