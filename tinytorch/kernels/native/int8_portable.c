/* int8 products in plain C, written so that any compiler vectorizes them: an output's weights lie one after the other. */
#include "int8.h"

static int32_t dot(const int8_t *w, const int8_t *x, int64_t n) {
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (int16_t)w[i] * (int16_t)x[i];
    }
    return sum;
}

static void product_portable(const Int8Tile *t) {
    for (int64_t row = 0; row < t->rows; row++) {
        const int32_t sum = *t->start + dot(t->weights, (const int8_t *)t->x + row * t->x_stride, t->steps * STEP);
        const float y = (float)sum * (t->x_scale[row] * *t->weight_scale) + *t->bias;
        t->y[row * t->y_stride] = t->act == ACT_RELU && y < 0.0f ? 0.0f : y; /* a NaN stays a NaN */
    }
}

const Int8Product tt_int8_product_portable = {1, FLIP_NONE, product_portable};
