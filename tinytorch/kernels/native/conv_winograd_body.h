/* The transformations of conv_winograd.h, once for every instruction set. No include guard: a file includes it once, after
   begin_*.h, with WIDTH (floats in a vector, a divisor of LANES) defined. */
#include "conv_winograd.h"

#define INLINE static inline __attribute__((always_inline))

typedef float Vector __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef int32_t Mask __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

INLINE Vector load(const float *at) { return *(const Vector *)at; }

INLINE void store(float *at, Vector v) { *(Vector *)at = v; }

/* In place, along one side of a tile. */
INLINE void transform4(Vector *a, Vector *b, Vector *c, Vector *d) {
    const Vector first = *a - *c, last = *b - *d, sum = *b + *c, difference = *c - *b;
    *a = first, *b = sum, *c = difference, *d = last;
}

static void input_tiles(const WinogradTiles *t) {
    for (int64_t tile = 0; tile < t->count; tile++) {
        const int64_t y = (t->first + tile) / t->tiles_across, x = (t->first + tile) % t->tiles_across;
        const float *in = t->image + 2 * y * t->row + 2 * x * t->channels;
        float *out = t->transformed + tile * t->channels;
        for (int64_t c = 0; c < t->channels; c += WIDTH) {
            Vector v[4][4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
#pragma GCC unroll 4
                for (int j = 0; j < 4; j++)
                    v[i][j] = load(in + i * t->row + j * t->channels + c);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                transform4(&v[0][j], &v[1][j], &v[2][j], &v[3][j]);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                transform4(&v[i][0], &v[i][1], &v[i][2], &v[i][3]);
#pragma GCC unroll 4
                for (int j = 0; j < 4; j++)
                    store(out + (4 * i + j) * t->input_place + c, v[i][j]);
            }
        }
    }
}

INLINE void finish(const WinogradTiles *t, int64_t y, int64_t x, int64_t o, Vector value) {
    if (y >= t->height || x >= t->width)
        return; /* the tile reaches over the edge */
    const int64_t at = (y * t->width + x) * t->outputs + o;
    value += load(t->bias + o);
    if (t->addend)
        value += load(t->addend + at);
    if (t->act == ACT_RELU)
        value = (Vector)((Mask)value & ~(Mask)(value < 0)); /* a NaN stays a NaN */
    store(t->out + at, value);
}

static void output_tiles(const WinogradTiles *t) {
    for (int64_t tile = 0; tile < t->count; tile++) {
        const int64_t y = 2 * ((t->first + tile) / t->tiles_across), x = 2 * ((t->first + tile) % t->tiles_across);
        const float *in = t->products + tile * t->outputs;
        for (int64_t o = 0; o < t->outputs; o += WIDTH) {
            Vector upper[4], lower[4];
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) {
                const float *at = in + j * t->output_place + o;
                const Vector a = load(at), b = load(at + 4 * t->output_place), c = load(at + 8 * t->output_place);
                upper[j] = a + b + c;
                lower[j] = b - c - load(at + 12 * t->output_place);
            }
            finish(t, y, x, o, upper[0] + upper[1] + upper[2]);
            finish(t, y, x + 1, o, upper[1] - upper[2] - upper[3]);
            finish(t, y + 1, x, o, lower[0] + lower[1] + lower[2]);
            finish(t, y + 1, x + 1, o, lower[1] - lower[2] - lower[3]);
        }
    }
}

#undef INLINE
