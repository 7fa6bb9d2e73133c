/* Attention of one new position over a cache of the keys and values before it: the check, the division among threads and the
   portable functions. The cache holds float32, or int8 with a scale for each vector. */
#define FMA 0
#define RUN(name) tt_##name##_portable
#include "attention_body.h"
#include "parallel.h"

enum { HEADS, HEAD_DIM, CAPACITY, IS_JOINED, IS_ONE_TEXT, DIMS };                         /* of Op.dim */
enum { KEYS, VALUES, POSITION, FLOAT_ARRAYS, KEY_SCALES = FLOAT_ARRAYS, VALUE_SCALES, BYTE_ARRAYS }; /* of Op.array */

enum { ALONE = 1 << 15 }; /* multiplications below which a thread takes longer to wake than to help */

static int64_t score_bytes(const Op *op) { return (op->dim[CAPACITY] + 15) / 16 * 64; }

static int cell_of_op(const Op *op) { return op->array_count == BYTE_ARRAYS ? BYTE_CELL : FLOAT_CELL; }

static float *writable(const Op *op, int which) { return (float *)(uintptr_t)op->array[which]; } /* check() has asked */

/* A sample is the next position of a text of its own, or all samples are the next positions of one text, in their order. */
static Head head_of(const Op *op, const Context *ctx, int64_t sample, int64_t which, int64_t position) {
    const int64_t heads = op->dim[HEADS], head_dim = op->dim[HEAD_DIM], vector = heads * head_dim;
    const int64_t text = op->dim[IS_ONE_TEXT] ? 0 : sample, first = (text * heads + which) * op->dim[CAPACITY];
    const int64_t bytes = head_dim * cell_of_op(op), at = (sample * heads + which) * head_dim;
    /* Query, key and value of a sample are in slots of their own, or lie one after the other in one. */
    const int64_t next = op->dim[IS_JOINED] ? vector : 0, from = at + sample * 2 * next;
    const float *const *slot = (const float *const *)(void *)ctx->slot;
    Head head = {
        .query = slot[op->slot[SLOT_QUERY]] + from,
        .key = slot[op->slot[SLOT_KEY]] + from + next,
        .value = slot[op->slot[SLOT_VALUE]] + from + 2 * next,
        .result = (float *)ctx->slot[op->slot[SLOT_RESULT]] + at,
        .keys = (char *)writable(op, KEYS) + first * bytes,
        .values = (char *)writable(op, VALUES) + first * bytes,
        .rounding = tt_int8_rows(op->isa),
        .head_dim = head_dim,
        .position = position + (op->dim[IS_ONE_TEXT] ? sample : 0),
    };
    if (op->array_count == BYTE_ARRAYS) {
        head.key_scale = writable(op, KEY_SCALES) + first;
        head.value_scale = writable(op, VALUE_SCALES) + first;
    }
    return head;
}

typedef struct {
    const Op *op;
    const Context *ctx;
    AttendHead attend_head;
    int64_t items, each, parts, position; /* an item is `each` samples of a head */
} Task;

/* Of one text a part takes whole heads, so that a position finds those before it in the cache. */
static void attend_part(const void *task, int64_t part, int thread) {
    const Task *t = task;
    const int64_t heads = t->op->dim[HEADS];
    (void)thread; /* the scratch belongs to the part */
    for (int64_t item = t->items * part / t->parts; item < t->items * (part + 1) / t->parts; item++)
        for (int64_t sample = 0; sample < t->each; sample++) {
            Head head = head_of(t->op, t->ctx, item / heads + sample, item % heads, t->position);
            head.score = (float *)(t->ctx->scratch + part * score_bytes(t->op));
            t->attend_head(&head);
        }
}

void tt_attention_split(const Op *op, const Context *ctx, AttendHead attend_head) {
    const int64_t heads = op->dim[HEADS], each = op->dim[IS_ONE_TEXT] ? ctx->batch : 1;
    if (ctx->batch == 0) return;
    /* The caller moves it on between runs. Read once: what is checked is what is used. */
    const int64_t position = *(const volatile int64_t *)op->array[POSITION];
    if (position < 0 || position > op->dim[CAPACITY] - each) { /* no such place in the cache: there is no result */
        float *out = (float *)ctx->slot[op->slot[SLOT_RESULT]];
        for (int64_t i = 0; i < ctx->batch * heads * op->dim[HEAD_DIM]; i++) out[i] = NAN;
        return;
    }
    const int64_t items = heads * ctx->batch / each;
    int64_t parts = heads * ctx->batch * (position + 1) * op->dim[HEAD_DIM] < ALONE ? 1 : ctx->threads;
    parts = items < parts ? items : parts;
    const Task task = {op, ctx, attend_head, items, each, parts, position};
    tt_for_each(parts, (int)parts, attend_part, &task);
}

static const char *check_slots(const Op *op, const int64_t *slot_bytes, int64_t vector) {
    const int *slot = op->slot;
    const int is_joined = op->dim[IS_JOINED] == 1;
    for (int i = IS_JOINED; i < DIMS; i++)
        if (op->dim[i] != 0 && op->dim[i] != 1) return "joined or one_text is neither 0 nor 1";
    if (is_joined && (slot[SLOT_QUERY] != slot[SLOT_KEY] || slot[SLOT_QUERY] != slot[SLOT_VALUE]))
        return "query, key and value are joined, but not one slot";
    for (int i = 0; i < SLOT_RESULT; i++) {
        if (slot_bytes[i] != (is_joined ? 3 * vector : vector)) return "a slot does not hold heads * head_dim float32 values a sample";
        if (slot[i] == slot[SLOT_RESULT]) return "out cannot be one of the inputs";
    }
    return slot_bytes[SLOT_RESULT] == vector ? NULL : "out does not hold heads * head_dim float32 values a sample";
}

static const char *check_caches(const Op *op, int64_t rows, int64_t samples) {
    const int64_t cell = cell_of_op(op);
    for (int i = 0; i < op->array_count; i++) {
        if (i == POSITION) continue;
        const int64_t bytes = i < POSITION ? rows * op->dim[HEAD_DIM] * cell : rows * 4;
        if (op->array[i] == NULL || op->array_bytes[i] != samples * bytes)
            return "a cache does not hold batch * heads * capacity * head_dim values, or so many scales";
        if (!op->is_writable[i]) return "a cache cannot be written to";
        for (int other = 0; other < i; other++)
            if (op->array[i] == op->array[other]) return "one cache cannot hold both keys and values";
    }
    return op->array[POSITION] == NULL || op->array_bytes[POSITION] != 8 ? "position takes one int64" : NULL;
}

/* How many samples the caches are for, if they are as large as they should be. */
static int64_t samples_of(const Op *op) {
    return op->array_bytes[KEYS] / (op->dim[HEADS] * op->dim[CAPACITY] * op->dim[HEAD_DIM] * cell_of_op(op));
}

static const char *check_arrays(const Op *op, const int64_t *slot_bytes, int arrays) {
    int64_t vector, cache;
    if (op->slot_count != 4 || op->dim_count != DIMS || op->scalar_count != 0 || op->array_count != arrays)
        return arrays == FLOAT_ARRAYS
                   ? "takes slots q, k, v, out, dims heads, head_dim, capacity, joined, one_text and arrays K, V, position"
                   : "takes slots q, k, v, out, dims heads, head_dim, capacity, joined, one_text and arrays K, V, position, scales of K, of V";
    for (int i = 0; i < IS_JOINED; i++)
        if (op->dim[i] < 1 || op->dim[i] > INT32_MAX) return "heads, head_dim and capacity are 1 or more";
    if (__builtin_mul_overflow(op->dim[HEADS] * 12, op->dim[HEAD_DIM], &vector) ||
        __builtin_mul_overflow(vector, op->dim[CAPACITY], &cache))
        return "heads, head_dim and capacity are too large";
    const char *problem = check_slots(op, slot_bytes, vector / 3);
    if (problem) return problem;
    const int64_t samples = samples_of(op);
    if (samples < 1) return "a cache does not hold batch * heads * capacity * head_dim values";
    return check_caches(op, op->dim[HEADS] * op->dim[CAPACITY], samples);
}

static const char *check_floats(const Op *op, const int64_t *slot_bytes) { return check_arrays(op, slot_bytes, FLOAT_ARRAYS); }

static const char *check_bytes(const Op *op, const int64_t *slot_bytes) { return check_arrays(op, slot_bytes, BYTE_ARRAYS); }

/* A row of scores for each thread; -1 where the caches hold fewer texts than the batch, or positions of the one text. */
static int64_t scratch(const Op *op, int64_t batch, int threads) {
    return batch > (op->dim[IS_ONE_TEXT] ? op->dim[CAPACITY] : samples_of(op)) ? -1 : threads * score_bytes(op);
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

const OpKind tt_attention_kinds[] = {
    {.name = "attention_decode", .check = check_floats, .scratch = scratch, .output = SLOT_RESULT, .run = RUNS(attention_decode)},
    {.name = "attention_decode_i8", .check = check_bytes, .scratch = scratch, .output = SLOT_RESULT, .run = RUNS(attention_decode_i8)},
    {.name = NULL},
};
