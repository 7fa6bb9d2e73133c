/* int8 products in plain C, written so that any compiler vectorizes them.

Bytes are widened to 16 bits first: two vectors of 16-bit numbers have a product that is summed in 32 bits on nearly every
processor (SSE2's pmaddwd, NEON's smlal), two vectors of bytes do not. */
#include "int8.h"

#include <string.h>

enum { LANES = 16, WIDTH = 64, FEW_ROWS = 3 };

static void widen(const int8_t *from, int16_t *to, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        to[i] = from[i];
    }
}

static int32_t dot(const int16_t *a, const int16_t *b) {
    int32_t sum = 0;
    for (int i = 0; i < WIDTH; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* The wide weights stay in registers. */
static int32_t dot_bytes(const int8_t *weights, const int16_t *x) {
    int16_t wide[WIDTH];
    widen(weights, wide, WIDTH);
    return dot(wide, x);
}

/* One step of every row: the weights are widened for each row anew, which for a few rows is sooner done than stored. */
static void add_few(const Int8Tile *t, int64_t step, int32_t (*sums)[LANES]) {
    const int8_t *weights = t->weights + step * LANES * WIDTH;
    int16_t x[WIDTH];
    for (int64_t row = 0; row < t->rows; row++) {
        widen((const int8_t *)t->x + row * t->x_stride + step * WIDTH, x, WIDTH);
        for (int lane = 0; lane < LANES; lane++) {
            sums[row][lane] += dot_bytes(weights + lane * WIDTH, x);
        }
    }
}

/* The same with the weights widened once. */
static void add_many(const Int8Tile *t, int64_t step, int32_t (*sums)[LANES]) {
    int16_t weights[LANES * WIDTH], x[WIDTH];
    widen(t->weights + step * LANES * WIDTH, weights, LANES * WIDTH);
    for (int64_t row = 0; row < t->rows; row++) {
        widen((const int8_t *)t->x + row * t->x_stride + step * WIDTH, x, WIDTH);
        for (int lane = 0; lane < LANES; lane++) {
            sums[row][lane] += dot(weights + lane * WIDTH, x);
        }
    }
}

static void finish(const Int8Tile *t, int64_t row, const int32_t *sums) {
    float *y = t->y + row * t->y_stride;
    for (int64_t lane = 0; lane < t->outputs && lane < LANES; lane++) {
        const float value = (float)sums[lane] * (t->x_scale[row] * t->weight_scale[lane]) + t->bias[lane];
        y[lane] = t->act == ACT_RELU && value < 0.0f ? 0.0f : value; /* a NaN stays a NaN */
    }
}

static void panel(const Int8Tile *t) {
    int32_t sums[MOST_TILE_ROWS][LANES];
    memset(sums, 0, (size_t)t->rows * sizeof *sums);
    for (int64_t step = 0; step < t->steps; step++) {
        if (t->rows <= FEW_ROWS) {
            add_few(t, step, sums);
        } else {
            add_many(t, step, sums);
        }
    }
    for (int64_t row = 0; row < t->rows; row++) {
        finish(t, row, sums[row]);
    }
}

static void product_portable(const Int8Tile *tile) {
    for (Int8Tile t = *tile; t.outputs > 0; tt_int8_next_panel(&t, LANES, WIDTH)) {
        panel(&t);
    }
}

const Int8Product tt_int8_product_portable = {LANES, WIDTH, FLIP_NONE, product_portable};
