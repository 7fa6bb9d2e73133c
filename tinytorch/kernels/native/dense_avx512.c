/* The float32 product with AVX-512: tiles of six rows and four panels for many vectors, a stream of weights for one. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>

#include "dense.h"
#include "begin_avx512.h"

enum { TILE_ROWS = 6, TILE_PANELS = 4 }; /* 24 sums, 4 of weights and 1 of x: 29 of the 32 registers */
enum { TILE_INPUTS = 1024 };             /* 4 panels of so many inputs, 256 KB, stay in the L2 cache between tiles */
enum { CACHED_BYTES = 2 << 20 };         /* weights to which one row goes as a tile: four panels share what is read of x */
enum { AHEAD = 2048 / 4 };               /* floats to prefetch ahead of where one vector's product reads */

/* Some inputs of a tile; between its parts the sums wait in y. */
typedef struct {
    int64_t row, panel, input, input_end;
} Tile;

typedef void (*RunTile)(const Dense *, const Tile *);

static inline __mmask16 stored_lanes(const Dense *d, int64_t panel) {
    const int64_t left = d->outputs - panel * DENSE_PANEL;
    return left < DENSE_PANEL ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff;
}

/* NaN stays NaN, as in np.maximum(sum, 0): with a NaN, max gives its second operand. */
static inline __m512 activated(const Dense *d, __m512 sum) {
    return d->act == ACT_RELU ? _mm512_max_ps(_mm512_setzero_ps(), sum) : sum;
}

static inline __attribute__((always_inline)) void run_tile(const Dense *d, const Tile *t, int rows, int panels) {
    const int64_t inputs = d->inputs, stride = inputs * DENSE_PANEL;
    const float *x = d->x + t->row * inputs, *weights = d->weights + t->panel * stride;
    float *y = d->y + t->row * d->stride + t->panel * DENSE_PANEL;
    const __mmask16 last = stored_lanes(d, t->panel + panels - 1);
    __m512 sum[TILE_ROWS][TILE_PANELS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++)
            if (t->input)
                sum[r][p] = _mm512_maskz_loadu_ps(p == panels - 1 ? last : 0xffff, y + r * d->stride + p * DENSE_PANEL);
            else
                sum[r][p] = _mm512_load_ps(d->bias + (t->panel + p) * DENSE_PANEL);
    for (int64_t k = t->input; k < t->input_end; k++) {
        __m512 w[TILE_PANELS];
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) w[p] = _mm512_load_ps(weights + p * stride + k * DENSE_PANEL);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const __m512 value = _mm512_set1_ps(x[r * inputs + k]);
#pragma GCC unroll 4
            for (int p = 0; p < panels; p++) sum[r][p] = _mm512_fmadd_ps(value, w[p], sum[r][p]);
        }
    }
    const int is_done = t->input_end == inputs;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++)
            _mm512_mask_storeu_ps(y + r * d->stride + p * DENSE_PANEL, p == panels - 1 ? last : 0xffff,
                                  is_done ? activated(d, sum[r][p]) : sum[r][p]);
}

#define TILE(R, P) \
    static void tile_##R##x##P(const Dense *d, const Tile *t) { run_tile(d, t, R, P); }
#define TILES(P) TILE(1, P) TILE(2, P) TILE(3, P) TILE(4, P) TILE(5, P) TILE(6, P)
TILES(1) TILES(2) TILES(3) TILES(4)
#define NAMES(P) \
    { tile_1x##P, tile_2x##P, tile_3x##P, tile_4x##P, tile_5x##P, tile_6x##P }
static const RunTile tiles[TILE_PANELS][TILE_ROWS] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4)};

/* One row times one panel. Eight sums hide the latency of the additions: 4 cycles, 2 a cycle. */
static void run_vector(const Dense *d, int64_t row, int64_t panel) {
    const float *x = d->x + row * d->inputs, *w = d->weights + panel * d->inputs * DENSE_PANEL;
    __m512 sum[8];
    sum[0] = _mm512_load_ps(d->bias + panel * DENSE_PANEL);
#pragma GCC unroll 8
    for (int i = 1; i < 8; i++) sum[i] = _mm512_setzero_ps();
    int64_t k = 0;
    for (; k + 8 <= d->inputs; k += 8) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            _mm_prefetch((const char *)(w + (k + i) * DENSE_PANEL + AHEAD), _MM_HINT_T0);
            sum[i] = _mm512_fmadd_ps(_mm512_set1_ps(x[k + i]), _mm512_load_ps(w + (k + i) * DENSE_PANEL), sum[i]);
        }
    }
    for (; k < d->inputs; k++)
        sum[0] = _mm512_fmadd_ps(_mm512_set1_ps(x[k]), _mm512_load_ps(w + k * DENSE_PANEL), sum[0]);
#pragma GCC unroll 3
    for (int step = 4; step; step /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < step; i++) sum[i] = _mm512_add_ps(sum[i], sum[i + step]);
    _mm512_mask_storeu_ps(d->y + row * d->stride + panel * DENSE_PANEL, stored_lanes(d, panel), activated(d, sum[0]));
}

void tt_dense_avx512(const Dense *d, const DenseBlock *block) {
    const int64_t panels = block->panel_end - block->panel;
    const int is_cached = d->inputs * d->outputs * 4 <= CACHED_BYTES;
    if (block->row_end - block->row == 1 && (panels < TILE_PANELS || !is_cached)) {
        for (int64_t panel = block->panel; panel < block->panel_end; panel++) run_vector(d, block->row, panel);
        return;
    }
    for (int64_t input = 0; input < d->inputs; input += TILE_INPUTS) {
        const int64_t input_end = input + TILE_INPUTS < d->inputs ? input + TILE_INPUTS : d->inputs;
        for (int64_t row = block->row, rows; row < block->row_end; row += rows) {
            rows = block->row_end - row < TILE_ROWS ? block->row_end - row : TILE_ROWS;
            const Tile tile = {row, block->panel, input, input_end};
            tiles[panels - 1][rows - 1](d, &tile);
        }
    }
}

#include "end_isa.h"
#endif
