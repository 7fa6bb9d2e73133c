/* The float32 product with AVX2: tiles of six rows and one panel for many vectors, a stream of weights for one. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>
#include <string.h>

#include "dense.h"
#include "begin_avx2.h"

enum { TILE_ROWS = 6 };      /* 12 sums, 2 of weights and 1 of x: 15 of the 16 registers */
enum { TILE_INPUTS = 512 };  /* a panel of so many inputs, 32 KB, stays in the L1 cache between tiles */
enum { ROW_PANELS = 4, CACHED_BYTES = 2 << 20 };
enum { AHEAD = 2048 / 4 };   /* floats to prefetch ahead of where one vector's product reads */

/* Some inputs of a tile; between its parts the sums wait in y. */
typedef struct {
    int64_t row, panel, input, input_end;
} Tile;

typedef void (*RunTile)(const Dense *, const Tile *);

static inline int64_t stored_lanes(const Dense *d, int64_t panel) {
    const int64_t left = d->outputs - panel * DENSE_PANEL;
    return left < DENSE_PANEL ? left : DENSE_PANEL;
}

static inline void load(const float *from, int64_t lanes, __m256 to[2]) {
    float padded[DENSE_PANEL] = {0};
    if (lanes < DENSE_PANEL) {
        memcpy(padded, from, (size_t)lanes * 4);
        from = padded;
    }
    to[0] = _mm256_loadu_ps(from);
    to[1] = _mm256_loadu_ps(from + 8);
}

static inline void store(float *to, int64_t lanes, __m256 low, __m256 high, int is_relu) {
    if (is_relu) { /* NaN stays NaN, as in np.maximum(sum, 0): with a NaN, max gives its second operand */
        low = _mm256_max_ps(_mm256_setzero_ps(), low);
        high = _mm256_max_ps(_mm256_setzero_ps(), high);
    }
    float all[DENSE_PANEL], *at = lanes < DENSE_PANEL ? all : to;
    _mm256_storeu_ps(at, low);
    _mm256_storeu_ps(at + 8, high);
    if (at == all) memcpy(to, all, (size_t)lanes * 4);
}

static inline __attribute__((always_inline)) void run_tile(const Dense *d, const Tile *t, int rows) {
    const int64_t inputs = d->inputs, lanes = stored_lanes(d, t->panel);
    const float *x = d->x + t->row * inputs, *weights = d->weights + t->panel * inputs * DENSE_PANEL;
    float *y = d->y + t->row * d->stride + t->panel * DENSE_PANEL;
    __m256 sum[TILE_ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        if (t->input) load(y + r * d->stride, lanes, sum[r]);
        else load(d->bias + t->panel * DENSE_PANEL, DENSE_PANEL, sum[r]);
    for (int64_t k = t->input; k < t->input_end; k++) {
        const __m256 low = _mm256_load_ps(weights + k * DENSE_PANEL);
        const __m256 high = _mm256_load_ps(weights + k * DENSE_PANEL + 8);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const __m256 value = _mm256_set1_ps(x[r * inputs + k]);
            sum[r][0] = _mm256_fmadd_ps(value, low, sum[r][0]);
            sum[r][1] = _mm256_fmadd_ps(value, high, sum[r][1]);
        }
    }
    const int is_relu = d->act == ACT_RELU && t->input_end == inputs;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) store(y + r * d->stride, lanes, sum[r][0], sum[r][1], is_relu);
}

#define TILE(R) \
    static void tile_##R(const Dense *d, const Tile *t) { run_tile(d, t, R); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
static const RunTile tiles[TILE_ROWS] = {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

/* One row times one panel. Eight sums hide the latency of the additions: 4 cycles, 2 a cycle. */
static void run_vector(const Dense *d, int64_t row, int64_t panel) {
    const float *x = d->x + row * d->inputs, *w = d->weights + panel * d->inputs * DENSE_PANEL;
    __m256 sum[4][2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    load(d->bias + panel * DENSE_PANEL, DENSE_PANEL, sum[0]);
    int64_t k = 0;
    for (; k + 4 <= d->inputs; k += 4) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const __m256 value = _mm256_set1_ps(x[k + i]);
            _mm_prefetch((const char *)(w + (k + i) * DENSE_PANEL + AHEAD), _MM_HINT_T0);
            sum[i][0] = _mm256_fmadd_ps(value, _mm256_load_ps(w + (k + i) * DENSE_PANEL), sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(value, _mm256_load_ps(w + (k + i) * DENSE_PANEL + 8), sum[i][1]);
        }
    }
    for (; k < d->inputs; k++) {
        const __m256 value = _mm256_set1_ps(x[k]);
        sum[0][0] = _mm256_fmadd_ps(value, _mm256_load_ps(w + k * DENSE_PANEL), sum[0][0]);
        sum[0][1] = _mm256_fmadd_ps(value, _mm256_load_ps(w + k * DENSE_PANEL + 8), sum[0][1]);
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++)
        sum[0][half] = _mm256_add_ps(_mm256_add_ps(sum[0][half], sum[1][half]), _mm256_add_ps(sum[2][half], sum[3][half]));
    store(d->y + row * d->stride + panel * DENSE_PANEL, stored_lanes(d, panel), sum[0][0], sum[0][1], d->act == ACT_RELU);
}

/* One row times four panels, which share what is read of x: for weights that come from a cache. */
static void run_row(const Dense *d, int64_t row, int64_t panel) {
    const int64_t stride = d->inputs * DENSE_PANEL;
    const float *x = d->x + row * d->inputs, *w = d->weights + panel * stride;
    __m256 sum[ROW_PANELS][2];
#pragma GCC unroll 4
    for (int p = 0; p < ROW_PANELS; p++) load(d->bias + (panel + p) * DENSE_PANEL, DENSE_PANEL, sum[p]);
    for (int64_t k = 0; k < d->inputs; k++, w += DENSE_PANEL) {
        const __m256 value = _mm256_set1_ps(x[k]);
#pragma GCC unroll 4
        for (int p = 0; p < ROW_PANELS; p++) {
            sum[p][0] = _mm256_fmadd_ps(value, _mm256_load_ps(w + p * stride), sum[p][0]);
            sum[p][1] = _mm256_fmadd_ps(value, _mm256_load_ps(w + p * stride + 8), sum[p][1]);
        }
    }
    float *y = d->y + row * d->stride + panel * DENSE_PANEL;
    for (int p = 0; p < ROW_PANELS; p++)
        store(y + p * DENSE_PANEL, stored_lanes(d, panel + p), sum[p][0], sum[p][1], d->act == ACT_RELU);
}

void tt_dense_avx2(const Dense *d, const DenseBlock *block) {
    const int is_row = block->row_end - block->row == 1, is_cached = d->inputs * d->outputs * 4 <= CACHED_BYTES;
    int64_t panel = block->panel;
    for (; is_row && is_cached && panel + ROW_PANELS <= block->panel_end; panel += ROW_PANELS) run_row(d, block->row, panel);
    for (; panel < block->panel_end; panel++) {
        if (is_row) {
            run_vector(d, block->row, panel);
            continue;
        }
        for (int64_t input = 0; input < d->inputs; input += TILE_INPUTS) {
            const int64_t input_end = input + TILE_INPUTS < d->inputs ? input + TILE_INPUTS : d->inputs;
            for (int64_t row = block->row, rows; row < block->row_end; row += rows) {
                rows = block->row_end - row < TILE_ROWS ? block->row_end - row : TILE_ROWS;
                const Tile tile = {row, panel, input, input_end};
                tiles[rows - 1](d, &tile);
            }
        }
    }
}

#include "end_isa.h"
#endif
