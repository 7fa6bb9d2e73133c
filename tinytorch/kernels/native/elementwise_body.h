/* The elementwise functions, once for every instruction set: plain loops, which compilers turn into vectors. No include
   guard: a file includes it once, after begin_*.h, with FMA (see exponential.h) and RUN(name) defined, the latter as the
   function's name in elementwise.h. In and out may be the same slot. */
#include "elementwise.h"
#include "exponential.h"
#include "int8_rows.h"

#include <math.h>

/* A NaN stays one: it is not below 0. */
static inline float activate(float y, int act) { return act == ACT_RELU && y < 0.0f ? 0.0f : y; }

static inline float relu(float x) { return x < 0.0f ? 0.0f : x; }

static inline float sigmoid(float x) {
    float small = exponential(-fabsf(x));
    return (x >= 0.0f ? 1.0f : small) / (1.0f + small);
}

static inline float hyperbolic_tangent(float x) {
    float less = exponential_minus_1(-2.0f * fabsf(x));
    return copysignf(less / (2.0f + less), x); /* -less / (2 + less) has the sign of |x| */
}

static inline float gelu(float x) { return x * sigmoid(1.702f * x); }

static inline const float *input(const Op *op, const Context *ctx, int which) { return (const float *)ctx->slot[op->slot[which]]; }

static inline float *output(const Op *op, const Context *ctx, int which) { return (float *)ctx->slot[op->slot[which]]; }

static void add_range(const Op *op, const Context *ctx, int64_t first, int64_t last) {
    const float *a = input(op, ctx, 0), *b = input(op, ctx, 1);
    float *out = output(op, ctx, 2);
    int act = (int)op->dim[1];
#pragma omp simd
    for (int64_t i = first; i < last; i++) out[i] = activate(a[i] + b[i], act);
}

static void unary_range(const Op *op, const Context *ctx, int64_t first, int64_t last) {
    const float *in = input(op, ctx, 0);
    float *out = output(op, ctx, 1);
    switch (op->dim[1]) {
    case UNARY_RELU:
#pragma omp simd
        for (int64_t i = first; i < last; i++) out[i] = relu(in[i]);
        break;
    case UNARY_SIGMOID:
#pragma omp simd
        for (int64_t i = first; i < last; i++) out[i] = sigmoid(in[i]);
        break;
    case UNARY_TANH:
#pragma omp simd
        for (int64_t i = first; i < last; i++) out[i] = hyperbolic_tangent(in[i]);
        break;
    case UNARY_GELU:
#pragma omp simd
        for (int64_t i = first; i < last; i++) out[i] = gelu(in[i]);
        break;
    }
}

static inline void affine_block(const float *in, float *out, const float *a, const float *b, int64_t count, int act) {
    /* two roundings as in NumPy, never one fused: bit for bit */
#pragma omp simd
    for (int64_t i = 0; i < count; i++) out[i] = activate(in[i] * a[i] + b[i], act);
}

/* Items are blocks of pixels whose factors and offsets prepare() has repeated; the last block may be shorter. */
static void affine_range(const Op *op, const Context *ctx, int64_t first, int64_t last) {
    const float *in = input(op, ctx, 0), *a = (const float *)op->owned[0], *b = (const float *)op->owned[1];
    float *out = output(op, ctx, 1);
    int64_t block = tt_affine_block(op), total = ctx->batch * op->dim[0] * op->dim[1];
    for (int64_t i = first; i < last; i++) {
        int64_t start = i * block, rest = total - start;
        affine_block(in + start, out + start, a, b, rest < block ? rest : block, (int)op->dim[2]);
    }
}

static void softmax_range(const Op *op, const Context *ctx, int64_t first, int64_t last) {
    int64_t n = op->dim[1];
    for (int64_t row = first; row < last; row++) {
        const float *in = input(op, ctx, 0) + row * n;
        float *out = output(op, ctx, 1) + row * n, most = largest(in, n), sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) {
            float e = exponential(in[i] - most);
            out[i] = e;
            sum += e;
        }
        /* divided, not multiplied by 1 / sum: a sum is never so small, but the quotients add up to 1 more closely */
#pragma omp simd
        for (int64_t i = 0; i < n; i++) out[i] /= sum;
    }
}

static void layer_norm_range(const Op *op, const Context *ctx, int64_t first, int64_t last) {
    int64_t n = op->dim[1];
    const float *gain = (const float *)op->array[0], *bias = (const float *)op->array[1];
    for (int64_t row = first; row < last; row++) {
        const float *in = input(op, ctx, 0) + row * n;
        float *out = output(op, ctx, 1) + row * n, sum = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) sum += in[i];
        float mean = sum / (float)n;
        /* the second pass over x, not E[x^2] - mean^2, which cancels where the mean is large */
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < n; i++) squares += (in[i] - mean) * (in[i] - mean);
        float deviation = sqrtf(squares / (float)n + op->scalar[0]);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) out[i] = (in[i] - mean) / deviation * gain[i] + bias[i];
    }
}

static inline int8_t to_int8(float x, float scale) {
    const float round = 12582912.0f; /* 1.5 * 2**23, as in exponential.h: half to even */
    float q = x / scale;
    q = q > 127.0f ? 127.0f : q;
    q = q < -127.0f ? -127.0f : q;
    q = q == q ? q : (float)INT8_NAN;
    return (int8_t)(int32_t)((q + round) - round);
}

static void quantize_range(const Op *op, const Context *ctx, int64_t first, int64_t last) {
    const float *in = input(op, ctx, 0);
    int8_t *out = (int8_t *)ctx->slot[op->slot[1]];
    float scale = *(const float *)op->array[0];
#pragma omp simd
    for (int64_t i = first; i < last; i++) out[i] = to_int8(in[i], scale);
}

void RUN(add)(const Op *op, const Context *ctx) { tt_elementwise_split(op, ctx, add_range, ctx->batch * op->dim[0], 1); }

void RUN(unary)(const Op *op, const Context *ctx) { tt_elementwise_split(op, ctx, unary_range, ctx->batch * op->dim[0], 1); }

void RUN(quantize_i8)(const Op *op, const Context *ctx) {
    tt_elementwise_split(op, ctx, quantize_range, ctx->batch * op->dim[0], 1);
}

void RUN(affine)(const Op *op, const Context *ctx) {
    int64_t block = tt_affine_block(op), total = ctx->batch * op->dim[0] * op->dim[1];
    tt_elementwise_split(op, ctx, affine_range, (total + block - 1) / block, block);
}

void RUN(softmax)(const Op *op, const Context *ctx) {
    tt_elementwise_split(op, ctx, softmax_range, ctx->batch * op->dim[0], op->dim[1]);
}

void RUN(layer_norm)(const Op *op, const Context *ctx) {
    tt_elementwise_split(op, ctx, layer_norm_range, ctx->batch * op->dim[0], op->dim[1]);
}
