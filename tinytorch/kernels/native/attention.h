/* One decoding step of attention; private to attention*.c. */
#ifndef TT_ATTENTION_H
#define TT_ATTENTION_H
#include "op.h"

enum { SLOT_QUERY, SLOT_KEY, SLOT_VALUE, SLOT_RESULT };

/* One head of one sample. */
typedef struct {
    const float *query, *key, *value; /* (head_dim) */
    float *keys, *values;             /* (capacity, head_dim): its part of the caches */
    float *result;                    /* (head_dim) */
    float *score;                     /* (capacity): scratch of the thread */
    int64_t head_dim, position;
} Head;

typedef void (*AttendHead)(const Head *);

/* Give each head of each sample to `attend`, divided among the threads. */
void tt_attention_split(const Op *op, const Context *ctx, AttendHead attend);

void tt_attention_decode_portable(const Op *, const Context *);
void tt_attention_decode_neon(const Op *, const Context *);
void tt_attention_decode_avx2(const Op *, const Context *);
void tt_attention_decode_avx512(const Op *, const Context *);
#endif
