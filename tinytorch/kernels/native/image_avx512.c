/* The rows of pools for AVX-512, and transposition in tiles of 16 by 16. */
#include <math.h>

#include "image.h"
#ifdef TT_X86
#include <immintrin.h>
#define ROW(name) tt_##name##_pool_row_avx512
#include "begin_avx512.h"

#include "image_body.h"

enum { TILE = 16 };

/* In each group of 4 rows, puts number 4·i + j of all of them into part i of vector j. */
static inline __attribute__((always_inline)) void transpose_parts(__m512 r[TILE]) {
    __m512d t[TILE];
#pragma GCC unroll 16
    for (int i = 0; i < TILE; i += 2) {
        t[i] = _mm512_castps_pd(_mm512_unpacklo_ps(r[i], r[i + 1]));
        t[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(r[i], r[i + 1]));
    }
#pragma GCC unroll 4
    for (int i = 0; i < TILE; i += 4) {
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(t[i], t[i + 2]));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(t[i], t[i + 2]));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(t[i + 1], t[i + 3]));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(t[i + 1], t[i + 3]));
    }
}

/* Then gathers part i of the four groups into one vector. */
static inline __attribute__((always_inline)) void gather_parts(__m512 r[TILE]) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512 even = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88), odd = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xDD);
        __m512 even2 = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88), odd2 = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xDD);
        r[j] = _mm512_shuffle_f32x4(even, even2, 0x88);
        r[4 + j] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
        r[8 + j] = _mm512_shuffle_f32x4(even, even2, 0xDD);
        r[12 + j] = _mm512_shuffle_f32x4(odd, odd2, 0xDD);
    }
}

static inline __mmask16 first(int64_t count) {
    return count >= TILE ? 0xFFFF : (__mmask16)((1u << count) - 1);
}

void tt_transpose_avx512(const float *in, float *out, int64_t rows, int64_t columns) {
    for (int64_t y = 0; y < columns; y += TILE)
        for (int64_t x = 0; x < rows; x += TILE) {
            const __mmask16 across = first(columns - y), down = first(rows - x);
            __m512 tile[TILE];
#pragma GCC unroll 16
            for (int i = 0; i < TILE; i++)
                tile[i] = down >> i & 1 ? _mm512_maskz_loadu_ps(across, in + (x + i) * columns + y) : _mm512_setzero_ps();
            transpose_parts(tile);
            gather_parts(tile);
#pragma GCC unroll 16
            for (int i = 0; i < TILE; i++)
                if (across >> i & 1)
                    _mm512_mask_storeu_ps(out + (y + i) * rows + x, down, tile[i]);
        }
}

#include "end_isa.h"
#endif
