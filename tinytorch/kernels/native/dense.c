/* Products with float32 weights. */
#include "op.h"

static const char *check(const Op *op, const int64_t *slot_bytes) {
    if (op->slot_count != 2 || op->dim_count != 4 || op->scalar_count != 0 || op->array_count != 2)
        return "linear_f32 takes 2 slots, 4 dimensions and 2 arrays";
    int64_t rows = op->dim[0], in = op->dim[1], out = op->dim[2], act = op->dim[3];
    int64_t most = (int64_t)1 << 31;
    if (rows < 1 || in < 1 || out < 1 || rows > most || in > most || out > most || act < ACT_NONE || act > ACT_RELU)
        return "a dimension is out of range";
    int64_t in_bytes, out_bytes, weight_bytes;
    if (__builtin_mul_overflow(rows, in * 4, &in_bytes) || __builtin_mul_overflow(rows, out * 4, &out_bytes) ||
        __builtin_mul_overflow(in, out * 4, &weight_bytes))
        return "the sizes overflow";
    if (slot_bytes[0] != in_bytes || slot_bytes[1] != out_bytes)
        return "a slot does not have the size that the dimensions say";
    if (op->array_bytes[0] != weight_bytes || (op->array[1] && op->array_bytes[1] != out * 4))
        return "an array does not have the size that the dimensions say";
    return op->array[0] ? NULL : "there are no weights";
}

static float activate(float y, int64_t act) {
    return act == ACT_RELU && y < 0 ? 0 : y; /* a NaN stays a NaN */
}

static void run_portable(const Op *op, const Context *ctx) {
    int64_t rows = ctx->batch * op->dim[0], in = op->dim[1], out = op->dim[2];
    const float *weights = op->array[0], *bias = op->array[1];
    for (int64_t row = 0; row < rows; row++) {
        const float *x = (const float *)ctx->slot[op->slot[0]] + row * in;
        float *y = (float *)ctx->slot[op->slot[1]] + row * out;
#pragma omp parallel for num_threads(ctx->threads) if (ctx->threads > 1)
        for (int64_t o = 0; o < out; o++) {
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < in; i++)
                sum += x[i] * weights[o * in + i];
            y[o] = activate(bias ? sum + bias[o] : sum, op->dim[3]);
        }
    }
}

const OpKind tt_dense_kinds[] = {
    {.name = "linear_f32", .check = check, .run = {run_portable}},
    {.name = NULL},
};
