/* Attention of one new position over a cache of the keys and values before it: the check, the division among threads and the
   portable function. */
#define FMA 0
#define RUN(name) tt_##name##_portable
#include "attention_body.h"
#include "parallel.h"

static int64_t score_bytes(const Op *op) { return (op->dim[2] + 15) / 16 * 64; }

static Head head_of(const Op *op, const Context *ctx, int64_t which, int64_t position) {
    int64_t head_dim = op->dim[1], cached = which * op->dim[2] * head_dim;
    const float *const *slot = (const float *const *)(void *)ctx->slot;
    return (Head){
        .query = slot[op->slot[SLOT_QUERY]] + which * head_dim,
        .key = slot[op->slot[SLOT_KEY]] + which * head_dim,
        .value = slot[op->slot[SLOT_VALUE]] + which * head_dim,
        .result = (float *)ctx->slot[op->slot[SLOT_RESULT]] + which * head_dim,
        .keys = (float *)(uintptr_t)op->array[0] + cached, /* writable: check() */
        .values = (float *)(uintptr_t)op->array[1] + cached,
        .head_dim = head_dim,
        .position = position,
    };
}

typedef struct {
    const Op *op;
    const Context *ctx;
    AttendHead attend_head;
    int64_t heads, parts, position;
} Task;

static void attend_part(const void *task, int64_t part, int thread) {
    const Task *t = task;
    (void)thread; /* the scratch belongs to the part */
    for (int64_t which = t->heads * part / t->parts; which < t->heads * (part + 1) / t->parts; which++) {
        Head head = head_of(t->op, t->ctx, which, t->position);
        head.score = (float *)(t->ctx->scratch + part * score_bytes(t->op));
        t->attend_head(&head);
    }
}

void tt_attention_split(const Op *op, const Context *ctx, AttendHead attend_head) {
    int64_t heads = ctx->batch * op->dim[0], parts = heads < ctx->threads ? heads : ctx->threads;
    /* The caller moves it on between runs. Read once: what is checked is what is used. */
    int64_t position = *(const volatile int64_t *)op->array[2];
    if (position < 0 || position >= op->dim[2]) { /* no such place in the cache: there is no result */
        float *out = (float *)ctx->slot[op->slot[SLOT_RESULT]];
        for (int64_t i = 0; i < heads * op->dim[1]; i++) out[i] = NAN;
        return;
    }
    const Task task = {op, ctx, attend_head, heads, parts, position};
    tt_for_each(parts, (int)parts, attend_part, &task);
}

static const char *check(const Op *op, const int64_t *slot_bytes) {
    int64_t vector, cache;
    if (op->slot_count != 4 || op->dim_count != 3 || op->scalar_count != 0 || op->array_count != 3)
        return "takes slots q, k, v, out, dims heads, head_dim, capacity and arrays K, V, position";
    for (int i = 0; i < 3; i++)
        if (op->dim[i] < 1 || op->dim[i] > INT32_MAX) return "heads, head_dim and capacity are 1 or more";
    if (__builtin_mul_overflow(op->dim[0] * 4, op->dim[1], &vector) || __builtin_mul_overflow(vector, op->dim[2], &cache))
        return "heads, head_dim and capacity are too large";
    for (int i = 0; i < 4; i++)
        if (slot_bytes[i] != vector) return "a slot does not hold heads * head_dim float32 values a sample";
    for (int i = 0; i < 2; i++) {
        if (op->array[i] == NULL || op->array_bytes[i] < cache || op->array_bytes[i] % cache)
            return "a cache does not hold batch * heads * capacity * head_dim float32 values";
        if (!op->is_writable[i]) return "a cache cannot be written to";
    }
    if (op->array_bytes[0] != op->array_bytes[1]) return "the caches have different sizes";
    if (op->array[0] == op->array[1]) return "one cache cannot hold both keys and values";
    if (op->array[2] == NULL || op->array_bytes[2] != 8) return "position takes one int64";
    for (int i = 0; i < 3; i++)
        if (op->slot[i] == op->slot[SLOT_RESULT]) return "out cannot be one of the inputs";
    return NULL;
}

/* A row of scores for each thread; -1 where the caches hold fewer samples than the batch. */
static int64_t scratch(const Op *op, int64_t batch, int threads) {
    int64_t cache = op->dim[0] * op->dim[1] * op->dim[2] * 4;
    return batch > op->array_bytes[0] / cache ? -1 : threads * score_bytes(op);
}

const OpKind tt_attention_kinds[] = {
    {
        .name = "attention_decode",
        .check = check,
        .scratch = scratch,
        .output = SLOT_RESULT,
        .run =
            {
                [ISA_PORTABLE] = tt_attention_decode_portable,
#if TT_X86
                [ISA_AVX2] = tt_attention_decode_avx2,
                [ISA_AVX512] = tt_attention_decode_avx512,
#elif TT_ARM
                [ISA_NEON] = tt_attention_decode_neon,
#endif
            },
    },
    {.name = NULL},
};
