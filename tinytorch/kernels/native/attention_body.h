/* The decoding step, once for every instruction set; see elementwise_body.h for how it is included. */
#include "attention.h"
#include "exponential.h"

#include <math.h>

enum { TOGETHER = 4 }; /* positions at once: one alone waits for the last addition of its sum, or for its result */

/* Not fused: a compiler may refuse to make vectors of a sum of fused products. */
static inline float product_of(const float *a, const float *b, int64_t n) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static inline void products_of(const float *q, const float *keys, int64_t n, float *score) {
    const float *k1 = keys + n, *k2 = k1 + n, *k3 = k2 + n;
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t i = 0; i < n; i++) {
        s0 += q[i] * keys[i];
        s1 += q[i] * k1[i];
        s2 += q[i] * k2[i];
        s3 += q[i] * k3[i];
    }
    score[0] = s0, score[1] = s1, score[2] = s2, score[3] = s3;
}

/* score[t] = softmax over t of query . keys[t] / sqrt(head_dim), but for the division by the sum, which is returned. */
static float weigh(const Head *head) {
    int64_t n = head->head_dim, count = head->position + 1, t = 0;
    float *score = head->score, factor = 1.0f / sqrtf((float)n), sum = 0.0f;
    for (; t + TOGETHER <= count; t += TOGETHER) products_of(head->query, head->keys + t * n, n, score + t);
    for (; t < count; t++) score[t] = product_of(head->query, head->keys + t * n, n);
    float most = largest(score, count);
#pragma omp simd reduction(+ : sum)
    for (t = 0; t < count; t++) {
        float e = exponential((score[t] - most) * factor);
        score[t] = e;
        sum += e;
    }
    return sum;
}

static void attend(const Head *head) {
    int64_t n = head->head_dim, count = head->position + 1, t = 0;
    float *out = head->result;
    const float *score = head->score;
    memcpy(head->keys + head->position * n, head->key, (size_t)n * 4);
    memcpy(head->values + head->position * n, head->value, (size_t)n * 4);
    float sum = weigh(head);
    memset(out, 0, (size_t)n * 4);
    for (; t + TOGETHER <= count; t += TOGETHER) {
        const float *v0 = head->values + t * n, *v1 = v0 + n, *v2 = v1 + n, *v3 = v2 + n;
        float p0 = score[t], p1 = score[t + 1], p2 = score[t + 2], p3 = score[t + 3];
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            out[i] = MUL_ADD(p3, v3[i], MUL_ADD(p2, v2[i], MUL_ADD(p1, v1[i], MUL_ADD(p0, v0[i], out[i]))));
    }
    for (; t < count; t++) {
        const float *v = head->values + t * n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) out[i] = MUL_ADD(score[t], v[i], out[i]);
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) out[i] /= sum;
}

void RUN(attention_decode)(const Op *op, const Context *ctx) { tt_attention_split(op, ctx, attend); }
