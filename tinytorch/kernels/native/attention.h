/* One decoding step of attention; private to attention*.c. */
#ifndef TT_ATTENTION_H
#define TT_ATTENTION_H
#include "int8_rows.h"

enum { SLOT_QUERY, SLOT_KEY, SLOT_VALUE, SLOT_RESULT };

/* One head of one sample. A cell of a cache is a float32, or a byte that counts as often as its row's scale says. */
typedef struct {
    const float *query, *key, *value; /* (head_dim) */
    char *keys, *values;              /* (capacity, head_dim) cells: its part of the caches */
    float *key_scale, *value_scale;   /* (capacity), or NULL where cells are float32 */
    const Int8Rows *rounding;
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
void tt_attention_decode_i8_portable(const Op *, const Context *);
void tt_attention_decode_i8_neon(const Op *, const Context *);
void tt_attention_decode_i8_avx2(const Op *, const Context *);
void tt_attention_decode_i8_avx512(const Op *, const Context *);
#endif
