/* What a convolution may be asked for. */
#include "conv.h"

/* a · b into *a; nonzero when it is more than any memory holds, which keeps every later sum of a few within int64. */
static int too_large(int64_t *a, int64_t b) {
    return __builtin_mul_overflow(*a, b, a) || *a > (int64_t)1 << 48;
}

static int64_t product(int count, const int64_t *factors) {
    int64_t result = 1;
    for (int i = 0; i < count; i++)
        if (too_large(&result, factors[i]))
            return -1;
    return result;
}

static const char *check_dims(const Op *op, const int64_t *slot_bytes) {
    const int64_t *d = op->dim;
    for (int i = 0; i <= PW; i++)
        if (d[i] < (i < PH ? 1 : 0) || d[i] > INT32_MAX)
            return "C, H, W, O, kernel and stride must be at least 1, padding at least 0";
    if (d[ACT] < ACT_NONE || d[ACT] > ACT_RELU || d[HAS_ADDEND] < 0 || d[HAS_ADDEND] > 1)
        return "the activation must be 0 (none) or 1 (ReLU), and the addend 0 or 1";
    if (op->slot_count != 2 + d[HAS_ADDEND] || op->slot[0] == op->slot[1])
        return "the slots must be in, out and, if there is one, addend; in and out must differ";
    int64_t height = d[H] + 2 * d[PH], width = d[W] + 2 * d[PW];
    if (height < d[KH] || width < d[KW])
        return "the kernel is larger than the padded image";
    int64_t out_height = (height - d[KH]) / d[SH] + 1, out_width = (width - d[KW]) / d[SW] + 1;
    int64_t in_bytes = product(4, (int64_t[]){d[C], d[H], d[W], 4});
    int64_t out_bytes = product(4, (int64_t[]){d[O], out_height, out_width, 4});
    if (in_bytes < 0 || out_bytes < 0 || product(4, (int64_t[]){d[C], height, width, 4}) < 0)
        return "the image is too large";
    if (slot_bytes[0] != in_bytes || slot_bytes[1] != out_bytes || (d[HAS_ADDEND] && slot_bytes[2] != out_bytes))
        return "the slots must hold H·W·C numbers in, H'·W'·O out and in the addend";
    return NULL;
}

static int has_floats(const Op *op, int array, int64_t count) {
    return op->array[array] && op->array_bytes[array] == 4 * count;
}

const char *tt_conv_check_f32(const Op *op, const int64_t *slot_bytes) {
    if (op->dim_count != HAS_ADDEND + 1 || op->scalar_count || op->array_count != F32_BIAS + 1)
        return "conv2d_f32 takes 12 dims, no scalars, and the arrays weight and bias";
    const char *wrong = check_dims(op, slot_bytes);
    if (wrong)
        return wrong;
    const int64_t *d = op->dim;
    int64_t weights = product(4, (int64_t[]){d[O], d[C], d[KH], d[KW]});
    if (weights < 0 || !has_floats(op, WEIGHTS, weights))
        return "the weight must be float32 (O, C, kh, kw)";
    if (op->array[F32_BIAS] && !has_floats(op, F32_BIAS, d[O]))
        return "the bias must be float32 (O) or None";
    return NULL;
}

const char *tt_conv_check_i8(const Op *op, const int64_t *slot_bytes) {
    if (op->dim_count != SCALES + 1 || op->scalar_count || op->array_count != I8_X_SCALE + 1)
        return "conv2d_i8 takes 13 dims, no scalars, and the arrays weight, weight scale, bias and activation scale";
    const char *wrong = check_dims(op, slot_bytes);
    if (wrong)
        return wrong;
    const int64_t *d = op->dim;
    int64_t weights = product(4, (int64_t[]){d[O], d[C], d[KH], d[KW]});
    if (weights < 0 || !op->array[WEIGHTS] || op->array_bytes[WEIGHTS] != weights)
        return "the weight must be int8 (O, C, kh, kw)";
    if (weights / d[O] > INT32_MAX / (127 * 127))
        return "C·kh·kw products of int8 can overflow an int32 sum";
    if ((d[SCALES] != 1 && d[SCALES] != d[O]) || !has_floats(op, I8_SCALES, d[SCALES]))
        return "the weight scale must be float32 (O) or (1)";
    if (op->array[I8_BIAS] && !has_floats(op, I8_BIAS, d[O]))
        return "the bias must be float32 (O) or None";
    if (op->array[I8_X_SCALE] && !has_floats(op, I8_X_SCALE, 1))
        return "the activation scale must be float32 (1) or None";
    return NULL;
}
