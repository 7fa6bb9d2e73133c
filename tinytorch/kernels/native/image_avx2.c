/* The rows of pools for AVX2, and transposition in tiles of 8 by 8. */
#include <math.h>

#include "image.h"
#ifdef TT_X86
#include <immintrin.h>
#define ROW(name) tt_##name##_pool_row_avx2
#include "begin_avx2.h"

#include "image_body.h"

enum { TILE = 8 };

static inline __attribute__((always_inline)) void transpose_tile(__m256 r[TILE]) {
    __m256d t[TILE];
    __m256 u[TILE];
#pragma GCC unroll 4
    for (int i = 0; i < TILE; i += 2) {
        t[i] = _mm256_castps_pd(_mm256_unpacklo_ps(r[i], r[i + 1]));
        t[i + 1] = _mm256_castps_pd(_mm256_unpackhi_ps(r[i], r[i + 1]));
    }
#pragma GCC unroll 2
    for (int i = 0; i < TILE; i += 4) {
        u[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(t[i], t[i + 2]));
        u[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(t[i], t[i + 2]));
        u[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(t[i + 1], t[i + 3]));
        u[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(t[i + 1], t[i + 3]));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x20);
        r[4 + i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x31);
    }
}

static inline __m256i first(int64_t count) {
    int lanes = count >= TILE ? TILE : (int)count;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

void tt_transpose_avx2(const float *in, float *out, int64_t rows, int64_t columns) {
    for (int64_t y = 0; y < columns; y += TILE)
        for (int64_t x = 0; x < rows; x += TILE) {
            const __m256i across = first(columns - y), down = first(rows - x);
            const int is_whole = rows - x >= TILE; /* a masked store is slow on some processors */
            __m256 tile[TILE];
#pragma GCC unroll 8
            for (int i = 0; i < TILE; i++)
                tile[i] = x + i < rows ? _mm256_maskload_ps(in + (x + i) * columns + y, across) : _mm256_setzero_ps();
            transpose_tile(tile);
#pragma GCC unroll 8
            for (int i = 0; i < TILE; i++) {
                if (y + i < columns && is_whole)
                    _mm256_storeu_ps(out + (y + i) * rows + x, tile[i]);
                else if (y + i < columns)
                    _mm256_maskstore_ps(out + (y + i) * rows + x, down, tile[i]);
            }
        }
}

#include "end_isa.h"
#endif
