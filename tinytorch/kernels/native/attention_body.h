/* The decoding step, once for every instruction set. No include guard: a file includes it once, after begin_*.h, with FMA
   (see exponential.h) and RUN(name) defined. Where it also defines WIDTH, it has a register of so many floats, Vector, and
   its functions load, load_bytes, store, splat, scaled_sum and sums_of; elsewhere there are only the plain loops. */
#include "attention.h"
#include "exponential.h"

#include <math.h>

enum { FLOAT_CELL = 4, BYTE_CELL = 1 }; /* the sizes of a cell */

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* ---- Registers at a time, for a head_dim that is a multiple of them ----
   Prefetches of the values, or of the next head's keys, gained nothing where caches lie in memory and cost a quarter more time
   where they lie in the third-level cache. */

#ifdef WIDTH
enum { SUMS = 8 }; /* registers of sums: so many additions are under way at once */

INLINE Vector load_cells(const char *cells, const int cell) {
    return cell == BYTE_CELL ? load_bytes((const int8_t *)(const void *)cells) : load((const float *)(const void *)cells);
}

/* The scores of WIDTH positions from `t` on: to add up the sums of all together takes fewer steps than one at a time. */
INLINE void score_some(const Head *head, int64_t t, const int64_t n, const int cell) {
    const int64_t row = n * cell;
    const char *keys = head->keys + t * row;
    Vector sum[WIDTH];
    UNROLL for (int k = 0; k < WIDTH; k++) {
        sum[k] = load_cells(keys + k * row, cell) * load(head->query);
        for (int64_t i = WIDTH; i < n; i += WIDTH)
            sum[k] = scaled_sum(sum[k], load_cells(keys + k * row + i * cell, cell), load(head->query + i));
    }
    Vector score = sums_of(sum);
    if (cell == BYTE_CELL) score *= load(head->key_scale + t);
    store(head->score + t, score);
}

/* result = the sum of score[t] * values[t], `count` registers of it from `first` on. */
INLINE void read_some(const Head *head, int64_t first, const int count, const int64_t n, const int cell) {
    const int chains = SUMS / count;
    const int64_t row = n * cell, positions = head->position + 1;
    const char *values = head->values + first * cell;
    Vector sum[SUMS] = {splat(0.0f)};
    int64_t t = 0;
    UNROLL for (int s = 1; s < SUMS; s++) sum[s] = sum[0];
    for (; t + chains <= positions; t += chains, values += chains * row)
        UNROLL for (int s = 0; s < SUMS; s++)
            sum[s] = scaled_sum(sum[s], load_cells(values + s / count * row + s % count * WIDTH * cell, cell),
                                splat(head->score[t + s / count]));
    for (; t < positions; t++, values += row)
        UNROLL for (int s = 0; s < count; s++)
            sum[s] = scaled_sum(sum[s], load_cells(values + s * WIDTH * cell, cell), splat(head->score[t]));
    UNROLL for (int s = 0; s < count; s++) {
        UNROLL for (int c = 1; c < chains; c++) sum[s] += sum[c * count + s];
        store(head->result + first + s * WIDTH, sum[s]);
    }
}

INLINE void score_vectors(const Head *head, const int64_t n, const int cell) {
    const int64_t count = head->position + 1;
    int64_t t = 0;
    for (; t + WIDTH <= count; t += WIDTH) score_some(head, t, n, cell);
    if (t < count) score_some(head, count - WIDTH, n, cell);
}

INLINE void read_vectors(const Head *head, const int64_t n, const int cell) {
    int64_t first = 0;
    for (; first + 4 * WIDTH <= n; first += 4 * WIDTH) read_some(head, first, 4, n, cell);
    for (; first + 2 * WIDTH <= n; first += 2 * WIDTH) read_some(head, first, 2, n, cell);
    if (first < n) read_some(head, first, 1, n, cell);
}
#endif

/* ---- One number at a time ---- */

INLINE float cell_of(const char *row, int64_t i, const int cell) {
    return cell == BYTE_CELL ? (float)((const int8_t *)(const void *)row)[i] : ((const float *)(const void *)row)[i];
}

INLINE float cells_times(const float *query, const char *key, int64_t n, const int cell) {
    float sum = 0.0f; /* not fused: a compiler may refuse to make vectors of a sum of fused products */
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += query[i] * cell_of(key, i, cell);
    return sum;
}

/* The scores of four positions: one alone waits for the last addition of its sum. */
INLINE void score_four(const float *query, const char *keys, int64_t n, const int cell, float *score) {
    const char *k1 = keys + n * cell, *k2 = k1 + n * cell, *k3 = k2 + n * cell;
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t i = 0; i < n; i++) {
        s0 += query[i] * cell_of(keys, i, cell);
        s1 += query[i] * cell_of(k1, i, cell);
        s2 += query[i] * cell_of(k2, i, cell);
        s3 += query[i] * cell_of(k3, i, cell);
    }
    score[0] = s0, score[1] = s1, score[2] = s2, score[3] = s3;
}

INLINE void score_plainly(const Head *head, const int cell) {
    const int64_t n = head->head_dim, row = n * cell, count = head->position + 1;
    float *score = head->score;
    int64_t t = 0;
    for (; t + 4 <= count; t += 4) score_four(head->query, head->keys + t * row, n, cell, score + t);
    for (; t < count; t++) score[t] = cells_times(head->query, head->keys + t * row, n, cell);
    if (cell == BYTE_CELL)
        for (t = 0; t < count; t++) score[t] *= head->key_scale[t];
}

INLINE void read_plainly(const Head *head, const int cell) {
    const int64_t n = head->head_dim, row = n * cell, count = head->position + 1;
    float *out = head->result;
    int64_t t = 0;
    memset(out, 0, (size_t)n * 4);
    for (; t + 4 <= count; t += 4) {
        const char *v0 = head->values + t * row, *v1 = v0 + row, *v2 = v1 + row, *v3 = v2 + row;
        const float p0 = head->score[t], p1 = head->score[t + 1], p2 = head->score[t + 2], p3 = head->score[t + 3];
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float sum = MUL_ADD(p1, cell_of(v1, i, cell), MUL_ADD(p0, cell_of(v0, i, cell), out[i]));
            out[i] = MUL_ADD(p3, cell_of(v3, i, cell), MUL_ADD(p2, cell_of(v2, i, cell), sum));
        }
    }
    for (; t < count; t++) {
        const char *value = head->values + t * row;
        const float weight = head->score[t];
#pragma omp simd
        for (int64_t i = 0; i < n; i++) out[i] = MUL_ADD(weight, cell_of(value, i, cell), out[i]);
    }
}

/* ---- The step ---- */

/* Round a vector into a row of bytes as the product of a row and int8 weights does: kernels/quantized.py. */
static void append_bytes(const Head *head, const float *vector, char *cache, float *scale) {
    uint8_t *row = (uint8_t *)cache + head->position * head->head_dim;
    scale[head->position] = tt_int8_row(head->rounding, vector, head->head_dim, NULL, FLIP_NONE, row);
}

INLINE void append(const Head *head, const int cell) {
    const size_t row = (size_t)head->head_dim * (size_t)cell;
    if (cell == BYTE_CELL) {
        append_bytes(head, head->key, head->keys, head->key_scale);
        append_bytes(head, head->value, head->values, head->value_scale);
    } else {
        memcpy(head->keys + head->position * row, head->key, row);
        memcpy(head->values + head->position * row, head->value, row);
    }
}

/* Replace the scores by softmax(score / sqrt(head_dim)), but for the division by the sum, which is returned. */
static float weigh(const Head *head) {
    const int64_t count = head->position + 1;
    float *score = head->score, sum = 0.0f;
    const float factor = 1.0f / sqrtf((float)head->head_dim), most = largest(score, count);
#pragma omp simd reduction(+ : sum)
    for (int64_t t = 0; t < count; t++) {
        float e = exponential((score[t] - most) * factor);
        score[t] = e;
        sum += e;
    }
    return sum;
}

/* What comes after the scores; `n` is 0 where the plain loops are to be taken. */
INLINE void read_values(const Head *head, const int64_t n, const int cell) {
    const float sum = weigh(head);
    if (cell == BYTE_CELL)
        for (int64_t t = 0; t <= head->position; t++) head->score[t] *= head->value_scale[t];
#ifdef WIDTH
    if (n)
        read_vectors(head, n, cell);
    else
#endif
        read_plainly(head, cell);
    (void)n;
    for (int64_t i = 0; i < head->head_dim; i++) head->result[i] /= sum;
}

INLINE void attend(const Head *head, const int cell) {
    append(head, cell);
#ifdef WIDTH
#define WITH(n)                         \
    {                                   \
        score_vectors(head, n, cell);   \
        read_values(head, n, cell);     \
        return;                         \
    }
    if (head->position + 1 >= WIDTH) {
        if (head->head_dim == 32) WITH(32)
        if (head->head_dim == 64) WITH(64)
        if (head->head_dim % WIDTH == 0) WITH(head->head_dim)
    }
#undef WITH
#endif
    score_plainly(head, cell);
    read_values(head, 0, cell);
}

static void attend_floats(const Head *head) { attend(head, FLOAT_CELL); }
static void attend_bytes(const Head *head) { attend(head, BYTE_CELL); }

void RUN(attention_decode)(const Op *op, const Context *ctx) { tt_attention_split(op, ctx, attend_floats); }
void RUN(attention_decode_i8)(const Op *op, const Context *ctx) { tt_attention_split(op, ctx, attend_bytes); }
