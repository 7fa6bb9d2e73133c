/* The elementwise family: add, unary functions, affine, softmax, layer norm and the rounding to int8; their checks, and the
   portable functions. */
#define FMA 0
#define RUN(name) tt_##name##_portable
#include "elementwise_body.h"

#include <limits.h>

#define ALONE 32768 /* values: below it a thread takes longer to wake than to help */

void tt_elementwise_split(const Op *op, const Context *ctx, Range range, int64_t items, int64_t size) {
    int64_t parts = items * size / ALONE;
    if (parts > ctx->threads) parts = ctx->threads;
    if (parts > items) parts = items;
    if (parts <= 1) {
        range(op, ctx, 0, items);
        return;
    }
#pragma omp parallel for num_threads((int)parts) schedule(static)
    for (int64_t part = 0; part < parts; part++) range(op, ctx, items * part / parts, items * (part + 1) / parts);
}

static int has_shape(const Op *op, int slots, int dims, int scalars, int arrays) {
    return op->slot_count == slots && op->dim_count == dims && op->scalar_count == scalars && op->array_count == arrays;
}

/* Whether `count` float32 values fit in memory at all; counts are products of dims, so they may overflow. */
static int product(int64_t a, int64_t b, int64_t *count) {
    return a >= 1 && b >= 1 && !__builtin_mul_overflow(a, b, count) && *count <= INT64_MAX / 64;
}

static int is_act(int64_t act) { return act == ACT_NONE || act == ACT_RELU; }

static int is_array(const Op *op, int which, int64_t bytes) {
    return op->array[which] != NULL && op->array_bytes[which] == bytes;
}

static const char *check_add(const Op *op, const int64_t *slot_bytes) {
    int64_t n;
    if (!has_shape(op, 3, 2, 0, 0)) return "add takes slots a, b, out and dims n, act";
    if (!product(op->dim[0], 1, &n)) return "add: n is not a number of values";
    if (!is_act(op->dim[1])) return "add: act is neither 0 nor 1";
    for (int i = 0; i < 3; i++)
        if (slot_bytes[i] != n * 4) return "add: a slot does not hold n float32 values a sample";
    return NULL;
}

static const char *check_unary(const Op *op, const int64_t *slot_bytes) {
    int64_t n;
    if (!has_shape(op, 2, 2, 0, 0)) return "unary takes slots in, out and dims n, kind";
    if (!product(op->dim[0], 1, &n)) return "unary: n is not a number of values";
    if (op->dim[1] < UNARY_RELU || op->dim[1] > UNARY_GELU) return "unary: kind is none of 1 relu, 2 sigmoid, 3 tanh, 4 gelu";
    if (slot_bytes[0] != n * 4 || slot_bytes[1] != n * 4) return "unary: a slot does not hold n float32 values a sample";
    return NULL;
}

static const char *check_affine(const Op *op, const int64_t *slot_bytes) {
    int64_t n;
    if (!has_shape(op, 2, 3, 0, 2)) return "affine takes slots in, out, dims pixels, channels, act and arrays a, b";
    if (!product(op->dim[0], op->dim[1], &n)) return "affine: pixels and channels are not a number of values";
    if (!is_act(op->dim[2])) return "affine: act is neither 0 nor 1";
    if (!is_array(op, 0, op->dim[1] * 4) || !is_array(op, 1, op->dim[1] * 4)) return "affine: a and b take one float32 a channel";
    if (slot_bytes[0] != n * 4 || slot_bytes[1] != n * 4) return "affine: a slot does not hold pixels * channels float32 values";
    return NULL;
}

/* Repeat a and b over some pixels, so that the loop over values is long also where there are few channels. */
static int prepare_affine(Op *op) {
    int64_t channels = op->dim[1], block = tt_affine_block(op);
    for (int which = 0; which < 2; which++) {
        float *values = (float *)tt_alloc(op, which, block * 4);
        if (values == NULL) return -1;
        for (int64_t i = 0; i < block; i += channels) memcpy(values + i, op->array[which], (size_t)channels * 4);
    }
    return 0;
}

static const char *check_softmax(const Op *op, const int64_t *slot_bytes) {
    int64_t n;
    if (!has_shape(op, 2, 2, 0, 0)) return "softmax takes slots in, out and dims rows, n";
    if (!product(op->dim[0], op->dim[1], &n)) return "softmax: rows and n are not a number of values";
    if (slot_bytes[0] != n * 4 || slot_bytes[1] != n * 4) return "softmax: a slot does not hold rows * n float32 values a sample";
    return NULL;
}

static const char *check_layer_norm(const Op *op, const int64_t *slot_bytes) {
    int64_t n;
    if (!has_shape(op, 2, 2, 1, 2)) return "layer_norm takes slots in, out, dims rows, n, scalar eps and arrays gain, bias";
    if (!product(op->dim[0], op->dim[1], &n)) return "layer_norm: rows and n are not a number of values";
    if (!is_array(op, 0, op->dim[1] * 4) || !is_array(op, 1, op->dim[1] * 4)) return "layer_norm: gain and bias take n float32 values";
    if (slot_bytes[0] != n * 4 || slot_bytes[1] != n * 4) return "layer_norm: a slot does not hold rows * n float32 values a sample";
    return NULL;
}

static const char *check_quantize(const Op *op, const int64_t *slot_bytes) {
    int64_t n;
    if (!has_shape(op, 2, 1, 0, 1)) return "quantize_i8 takes slots in, out, dim n and array x_scale";
    if (!product(op->dim[0], 1, &n)) return "quantize_i8: n is not a number of values";
    if (!is_array(op, 0, 4)) return "quantize_i8: x_scale takes one float32";
    if (slot_bytes[0] != n * 4 || slot_bytes[1] != n) return "quantize_i8: the slots do not hold n float32 and n int8 values a sample";
    if (op->slot[0] == op->slot[1]) return "quantize_i8: out cannot be in";
    return NULL;
}

#if TT_X86
#define RUNS(name) \
    { [ISA_PORTABLE] = tt_##name##_portable, [ISA_AVX2] = tt_##name##_avx2, [ISA_AVX512] = tt_##name##_avx512 }
#elif TT_ARM
#define RUNS(name) \
    { [ISA_PORTABLE] = tt_##name##_portable, [ISA_NEON] = tt_##name##_neon }
#else
#define RUNS(name) \
    { [ISA_PORTABLE] = tt_##name##_portable }
#endif

const OpKind tt_elementwise_kinds[] = {
    {.name = "add", .check = check_add, .run = RUNS(add), .output = 2},
    {.name = "unary", .check = check_unary, .run = RUNS(unary)},
    {.name = "affine", .check = check_affine, .prepare = prepare_affine, .run = RUNS(affine)},
    {.name = "softmax", .check = check_softmax, .run = RUNS(softmax)},
    {.name = "layer_norm", .check = check_layer_norm, .run = RUNS(layer_norm)},
    {.name = "quantize_i8", .check = check_quantize, .run = RUNS(quantize_i8)},
    {.name = NULL},
};
