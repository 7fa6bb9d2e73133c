/* Products of float32 rows with int8 weights: what the files of the instruction sets share. Private to the family.

Weights lie in panels of `lanes` outputs, [panel][input][lane], and become float32 in registers; missing outputs are zeros. */
#ifndef TT_INT8_WEIGHTS_H
#define TT_INT8_WEIGHTS_H
#include "op.h"

/* One panel times a block of rows. */
typedef struct {
    const int8_t *weights;            /* (inputs, lanes) */
    const float *weight_scale, *bias; /* (lanes) */
    const float *x;                   /* (rows, inputs) */
    float *y;                         /* (rows, y_stride), of which `outputs` are written */
    int64_t inputs, rows, y_stride, outputs;
    int act;
} WeightsTile;

typedef struct {
    int lanes; /* outputs of a panel */
    void (*product)(const WeightsTile *);
} WeightsProduct;

extern const WeightsProduct tt_int8_weights_portable;
#ifdef TT_X86
extern const WeightsProduct tt_int8_weights_avx2, tt_int8_weights_avx512;
#endif

/* The operation linear_w8, which int8.c lists. */
const char *tt_weights_check(const Op *, const int64_t *slot_bytes);
int tt_weights_prepare(Op *);
void tt_weights_run(const Op *, const Context *);
#endif
