/* The inner loops of training, once for every instruction set. No include guard: a file includes it once, after begin_*.h,
   with LANES, PIXELS and WEIGHT_ROWS defined, MULTIPLY_ADD(sum, a, b) on vectors, and PATH, the name of its table. */
#include "train.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef float Unaligned __attribute__((vector_size(LANES * 4), aligned(4)));

enum { GROUP = 2 * LANES };

INLINE Vector load(const float *from) { return *(const Unaligned *)from; }
INLINE void store(float *to, Vector x) { *(Unaligned *)to = x; }
INLINE Vector all(float x) { return x - (Vector){0}; } /* x - 0 is x for every x, -0 and NaN too */

INLINE void store_first(float *to, Vector x, int64_t count) {
    if (count >= LANES) {
        store(to, x);
        return;
    }
    float values[LANES];
    store(values, x);
    for (int64_t i = 0; i < count; i++) to[i] = values[i];
}

INLINE Vector load_first(const float *from, int64_t count) {
    if (count >= LANES) return load(from);
    float values[LANES] = {0};
    for (int64_t i = 0; i < count; i++) values[i] = from[i];
    return load(values);
}

/* ---- Convolution ---- */

/* The next PIXELS output pixels of a block: where their windows begin and where the results go. Those beyond the last
   repeat it. */
typedef struct {
    int64_t column;
    const float *line, *window;
    float *out_line, *out;
} Cursor;

INLINE void next_pixels(const TrainConv *c, Cursor *at, const float **window, float **out, int64_t left) {
#pragma GCC unroll 8
    for (int i = 0; i < PIXELS; i++) {
        window[i] = at->window;
        out[i] = at->out;
        if (i + 1 >= left) continue;
        at->window += c->pixel_step;
        at->out += c->out_pixel;
        if (++at->column == c->width) {
            at->column = 0;
            at->window = at->line += c->line_step;
            at->out = at->out_line += c->out_line;
        }
    }
}

INLINE void conv_group(const TrainConv *c, int64_t group, const int vectors) {
    const float *weights = c->weights + group * c->rows * c->run * GROUP, *bias = c->bias + group * GROUP;
    const int64_t first = group * GROUP, outputs = c->outputs - first;
    Cursor at = {0, c->window, c->window, c->out, c->out};
    for (int64_t pixel = 0; pixel < c->pixels; pixel += PIXELS) {
        const float *window[PIXELS], *w = weights;
        float *out[PIXELS];
        Vector sum[PIXELS][2];
        const int64_t left = c->pixels - pixel;
        next_pixels(c, &at, window, out, left);
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
            for (int j = 0; j < vectors; j++) sum[i][j] = load(bias + j * LANES);
        for (int64_t row = 0; row < c->rows; row++) {
            for (int64_t k = 0; k < c->run; k++, w += GROUP) {
                const Vector w0 = load(w), w1 = vectors > 1 ? load(w + LANES) : w0;
#pragma GCC unroll 8
                for (int i = 0; i < PIXELS; i++) {
                    const Vector x = all(window[i][k]);
                    sum[i][0] = MULTIPLY_ADD(sum[i][0], x, w0);
                    if (vectors > 1) sum[i][1] = MULTIPLY_ADD(sum[i][1], x, w1);
                }
            }
#pragma GCC unroll 8
            for (int i = 0; i < PIXELS; i++) window[i] += c->row_step;
        }
        if (left >= PIXELS && outputs >= vectors * LANES) {
#pragma GCC unroll 8
            for (int i = 0; i < PIXELS; i++)
                for (int j = 0; j < vectors; j++) store(out[i] + first + j * LANES, sum[i][j]);
            continue;
        }
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
            for (int j = 0; j < vectors && i < left; j++)
                store_first(out[i] + first + j * LANES, sum[i][j], outputs - j * LANES);
    }
}

static void conv(const TrainConv *c) {
    for (int64_t group = 0; group * GROUP < c->outputs; group++) {
        if (c->outputs - group * GROUP > LANES)
            conv_group(c, group, 2);
        else
            conv_group(c, group, 1);
    }
}

INLINE void weights_tile(const TrainWeights *t, const int rows, const int vectors, const int is_whole) {
    Vector sum[WEIGHT_ROWS][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vectors; j++) sum[r][j] = (Vector){0};
    for (int64_t y = 0; y < t->height; y++) {
        const float *x = t->x + y * t->x_line, *grad = t->grad + y * t->grad_line;
        for (int64_t pixel = 0; pixel < t->width; pixel++, x += t->x_pixel, grad += t->grad_pixel) {
            const Vector g0 = is_whole ? load(grad) : load_first(grad, t->outputs);
            const Vector g1 = vectors == 1 ? g0 : is_whole ? load(grad + LANES) : load_first(grad + LANES, t->outputs - LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const Vector value = all(x[r]);
                sum[r][0] = MULTIPLY_ADD(sum[r][0], value, g0);
                if (vectors > 1) sum[r][1] = MULTIPLY_ADD(sum[r][1], value, g1);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vectors; j++) {
            float *to = t->sum + r * t->sum_row + j * LANES;
            const int64_t count = t->outputs - j * LANES;
            store_first(to, load_first(to, count) + sum[r][j], count);
        }
}

INLINE void weights_rows(const TrainWeights *t, const int rows) {
    if (t->outputs > LANES) {
        if (t->outputs == GROUP)
            weights_tile(t, rows, 2, 1);
        else
            weights_tile(t, rows, 2, 0);
    } else if (t->outputs == LANES)
        weights_tile(t, rows, 1, 1);
    else
        weights_tile(t, rows, 1, 0);
}

static void weights(const TrainWeights *tile) {
    TrainWeights t = *tile;
    while (t.rows > 0) {
        const int rows = t.rows >= WEIGHT_ROWS ? WEIGHT_ROWS : t.rows >= 4 ? 4 : t.rows >= 2 ? 2 : 1;
        if (rows == WEIGHT_ROWS)
            weights_rows(&t, WEIGHT_ROWS);
        else if (rows == 4)
            weights_rows(&t, 4 < WEIGHT_ROWS ? 4 : WEIGHT_ROWS);
        else if (rows == 2)
            weights_rows(&t, 2);
        else
            weights_rows(&t, 1);
        t.x += rows;
        t.sum += rows * t.sum_row;
        t.rows -= rows;
    }
}

/* ---- Number by number ---- */

static void relu(const float *restrict x, float *restrict out, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) out[i] = x[i] <= 0.0f ? 0.0f : x[i]; /* -0 becomes 0, NaN stays */
}

static void relu_grad(const float *restrict grad, const float *restrict out, float *restrict result, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) result[i] = out[i] > 0.0f ? grad[i] : 0.0f;
}

static void add_to(const float *restrict x, float *restrict sum, int64_t count, int64_t period) {
    for (; count > 0; count -= period, x += period) {
        const int64_t now = count < period ? count : period;
#pragma omp simd
        for (int64_t i = 0; i < now; i++) sum[i] += x[i];
    }
}

static void add_squares(const float *restrict x, const float *restrict mean, float *restrict sum, int64_t count,
                        int64_t period) {
    for (; count > 0; count -= period, x += period) {
        const int64_t now = count < period ? count : period;
#pragma omp simd
        for (int64_t i = 0; i < now; i++) {
            const float d = x[i] - mean[i];
            sum[i] += d * d;
        }
    }
}

static void add_products(const float *restrict g, const float *restrict x, const float *restrict mean, float *restrict sum,
                         float *restrict products, int64_t count, int64_t period) {
    for (; count > 0; count -= period, x += period, g += period) {
        const int64_t now = count < period ? count : period;
#pragma omp simd
        for (int64_t i = 0; i < now; i++) {
            sum[i] += g[i];
            products[i] += g[i] * (x[i] - mean[i]);
        }
    }
}

static void normalize(const float *restrict x, const float *restrict mean, const float *restrict factor,
                      const float *restrict shift, float *restrict out, int64_t count, int64_t period) {
    for (; count > 0; count -= period, x += period, out += period) {
        const int64_t now = count < period ? count : period;
#pragma omp simd
        for (int64_t i = 0; i < now; i++) out[i] = (x[i] - mean[i]) * factor[i] + shift[i];
    }
}

static void normalize_grad(const float *restrict g, const float *restrict x, const float *restrict mean,
                           const float *restrict slope, const float *restrict offset, const float *restrict factor,
                           float *restrict out, int64_t count, int64_t period) {
    for (; count > 0; count -= period, x += period, g += period, out += period) {
        const int64_t now = count < period ? count : period;
#pragma omp simd
        for (int64_t i = 0; i < now; i++) out[i] = ((x[i] - mean[i]) * slope[i] + g[i] - offset[i]) * factor[i];
    }
}

/* ---- Pooling ---- */

static void pool_2x2(const float *const *tap, int64_t channels, float *restrict out, uint8_t *restrict which) {
    const float *restrict a = tap[0], *restrict b = tap[1], *restrict c = tap[2], *restrict d = tap[3];
#pragma omp simd
    for (int64_t i = 0; i < channels; i++) {
        float best = a[i];
        int32_t at = 0;
        at = b[i] > best || b[i] != b[i] ? 1 : at;
        best = at == 1 ? b[i] : best;
        at = c[i] > best || c[i] != c[i] ? 2 : at;
        best = at == 2 ? c[i] : best;
        at = d[i] > best || d[i] != d[i] ? 3 : at;
        best = at == 3 ? d[i] : best;
        out[i] = best;
        which[i] = (uint8_t)at;
    }
}

static void pool(const float *const *tap, int taps, int64_t channels, float *restrict out, uint8_t *restrict which) {
    if (taps == 4 && tap[0] && tap[1] && tap[2] && tap[3]) {
        pool_2x2(tap, channels, out, which);
        return;
    }
    int first = 1;
    for (int t = 0; t < taps; t++) {
        const float *restrict x = tap[t];
        if (!x) continue; /* padding */
        if (first) {
            memcpy(out, x, (size_t)channels * 4);
            memset(which, t, (size_t)channels);
            first = 0;
            continue;
        }
#pragma omp simd
        for (int64_t i = 0; i < channels; i++) {
            const int is_larger = x[i] > out[i] || x[i] != x[i];
            out[i] = is_larger ? x[i] : out[i];
            which[i] = is_larger ? (uint8_t)t : which[i];
        }
    }
}

static void unpool(const float *restrict grad, const uint8_t *restrict which, float *const *tap, int taps, int64_t channels,
                   int are_apart) {
    for (int t = 0; t < taps; t++) {
        float *restrict x = tap[t];
        if (!x) continue;
        if (are_apart) {
#pragma omp simd
            for (int64_t i = 0; i < channels; i++) x[i] = which[i] == t ? grad[i] : 0.0f;
            continue;
        }
#pragma omp simd
        for (int64_t i = 0; i < channels; i++) x[i] += which[i] == t ? grad[i] : 0.0f;
    }
}

/* ---- Updates: every operation rounds as NumPy's, so the result has the same bits ---- */

static void adam(float *restrict p, const float *restrict g, float *restrict m, float *restrict v, int64_t count,
                 const float *factors) {
    const float beta1 = factors[0], rest1 = factors[1], beta2 = factors[2], rest2 = factors[3], eps = factors[4],
                rate = factors[5], keep = factors[6], decay = factors[7];
    const int decays = decay != 0.0f, keeps = keep != 1.0f;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        const float old = keeps ? p[i] * keep : p[i], grad = decays ? g[i] + decay * p[i] : g[i];
        const float first = m[i] * beta1 + grad * rest1, second = v[i] * beta2 + grad * grad * rest2;
        m[i] = first;
        v[i] = second;
        p[i] = old - first / (sqrtf(second) + eps) * rate;
    }
}

static void sgd(float *restrict p, const float *restrict g, float *restrict velocity, int64_t count, const float *factors) {
    const float rate = factors[0], momentum = factors[1], decay = factors[2];
    const int decays = decay != 0.0f;
    if (!velocity) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) p[i] -= (decays ? p[i] * decay + g[i] : g[i]) * rate;
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        const float faster = velocity[i] * momentum + (decays ? p[i] * decay + g[i] : g[i]);
        velocity[i] = faster;
        p[i] -= faster * rate;
    }
}

const TrainPath PATH = {GROUP, WEIGHT_ROWS, conv, weights, relu, relu_grad, add_to, add_squares, add_products, normalize,
                        normalize_grad, pool, unpool, adam, sgd};
