/* What the files of the int4 family share: a product with weights of 4 bits and a scale for each group of inputs.

Weights are packed in panels of 16 outputs. A panel is its groups one after the other, a group its 16 scales and then
blocks of 64 bytes for 8 inputs each: 32 bits an output, of which byte t holds input t in its low four bits and input
4 + t in its high ones, both plus 8. Groups are filled up to whole blocks, in the activations as well. */
#ifndef TT_INT4_H
#define TT_INT4_H
#include "op.h"

enum { INT4_PANEL = 16, INT4_BLOCK = 8, INT4_BLOCK_BYTES = 64, INT4_OFFSET = 8 };

typedef struct {
    const uint8_t *weights;
    const float *bias;     /* (panels, INT4_PANEL) */
    const float *source;   /* (rows, inputs): activations as they are given */
    float *y;              /* (rows, outputs) */
    float *x;              /* (rows, padded): activations by group, for plain C integers too */
    int8_t *q;             /* (rows, padded): the same as integers */
    int32_t *offset;       /* (rows, groups): -INT4_OFFSET times the sum of q over a group */
    float *x_scale;        /* (rows) */
    float *multiplied_out; /* (threads, inputs, INT4_PANEL): room for a panel in float32 */
    int64_t rows, inputs, outputs, panels, group, groups;
    int64_t group_blocks, blocks, padded; /* blocks of each group but the last, of all groups; inputs of these */
    int act, is_dynamic;                  /* dynamic: activations are rounded to integers, one scale a row */
} Int4;

/* Some rows of some panels: what one thread computes at a time. */
typedef struct {
    int64_t row, row_end, panel, panel_end;
} Int4Part;

typedef void (*RunInt4)(const Int4 *, const Int4Part *);

/* With activations of 8 bits; with float32 ones; with these and many rows, by multiplying the weights out. */
void tt_int4_dynamic_avx512(const Int4 *, const Int4Part *);
void tt_int4_dynamic_avx2(const Int4 *, const Int4Part *);
void tt_int4_dynamic_neon(const Int4 *, const Int4Part *);
void tt_int4_float_avx512(const Int4 *, const Int4Part *);
void tt_int4_float_avx2(const Int4 *, const Int4Part *);
void tt_int4_portable(const Int4 *, const Int4Part *); /* both, with p->x */
void tt_int4_many_portable(const Int4 *, const Int4Part *);
void tt_int4_many_avx2(const Int4 *, const Int4Part *);

static inline int64_t int4_panel_bytes(const Int4 *p) { return (p->groups + p->blocks) * INT4_BLOCK_BYTES; }

/* The scales of a group; its blocks follow. */
static inline const uint8_t *int4_group(const Int4 *p, int64_t panel, int64_t group) {
    return p->weights + panel * int4_panel_bytes(p) + group * (1 + p->group_blocks) * INT4_BLOCK_BYTES;
}

static inline int64_t int4_group_end(const Int4 *p, int64_t group) {
    return group + 1 < p->groups ? (group + 1) * p->group_blocks : p->blocks;
}
#endif
