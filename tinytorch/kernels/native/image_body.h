/* The functions of image.h, once for every instruction set: plain loops, which compilers turn into vectors. No include
   guard: a file includes it once, after begin_*.h, with ROW(name) defined as the function's name in image.h.

   Both pools work down the window's rows first and then across, as the reference does, so that sums are equal to its. */
#include "image.h"

#include <math.h>

static inline float larger(float a, float b) {
    return a >= b || a != a ? a : b; /* a NaN stays a NaN */
}

static inline float sum(float a, float b) {
    return a + b;
}

#define INLINE static inline __attribute__((always_inline))

INLINE void fill(float *out, int64_t count, float value) {
    for (int64_t i = 0; i < count; i++)
        out[i] = value;
}

/* Combines the rows of the window into `across`, between padding of `empty`. */
INLINE void combine_rows(const PoolRow *p, float (*combine)(float, float), float empty) {
    const int64_t side = p->padding * p->channels, middle = p->width * p->channels;
    float *restrict out = p->across + side;
    fill(p->across, side, empty);
    fill(out + middle, side, empty);
    if (p->rows < 2) {
        for (int64_t i = 0; i < middle; i++)
            out[i] = p->rows ? p->in[i] : empty;
        return;
    }
    const float *first = p->in, *second = p->in + p->row_step;
    for (int64_t i = 0; i < middle; i++)
        out[i] = combine(first[i], second[i]);
    for (int64_t row = 2; row < p->rows; row++) {
        const float *in = p->in + row * p->row_step;
        for (int64_t i = 0; i < middle; i++)
            out[i] = combine(out[i], in[i]);
    }
}

/* Combines the columns of each window and multiplies the results by `factor`. */
INLINE void combine_columns(const PoolRow *p, float (*combine)(float, float), float factor) {
    const int64_t channels = p->channels;
    for (int64_t x = 0; x < p->out_width; x++) {
        const float *in = p->across + x * p->stride * channels;
        float *restrict out = p->out + x * channels;
        if (p->columns == 2) { /* the usual window: one pass */
            for (int64_t c = 0; c < channels; c++)
                out[c] = combine(in[c], in[channels + c]) * factor;
            continue;
        }
        for (int64_t c = 0; c < channels; c++)
            out[c] = in[c];
        for (int64_t column = 1; column < p->columns; column++)
            for (int64_t c = 0; c < channels; c++)
                out[c] = combine(out[c], in[column * channels + c]);
        for (int64_t c = 0; c < channels; c++)
            out[c] *= factor;
    }
}

void ROW(max)(const PoolRow *p) {
    combine_rows(p, larger, -INFINITY);
    combine_columns(p, larger, 1);
}

/* Padding counts as zeros, and the factor is rounded once, as the reference has it. */
void ROW(avg)(const PoolRow *p) {
    combine_rows(p, sum, 0);
    combine_columns(p, sum, (float)(1.0 / (double)(p->window_rows * p->columns)));
}

#undef INLINE
