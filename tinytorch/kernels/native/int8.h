/* Products of rows with int8 weights: what the files of the instruction sets share. Private to the family.

Weights lie in panels of `lanes` outputs, as the products read them: [panel][step][lane][width], a step being `width` inputs;
missing outputs and inputs are zeros. Rows are rounded to bytes first, padded to whole steps. */
#ifndef TT_INT8_H
#define TT_INT8_H
#include "int8_rows.h"

enum { STEP = 4, MOST_TILE_ROWS = 96 }; /* inputs of a step of the dot-product instructions; rows of a tile */

/* Some panels, one after the other, times a block of rows. */
typedef struct {
    const int8_t *weights;                        /* (panels, steps, lanes, width) */
    const int32_t *start;                         /* (panels, lanes): what the sums begin with */
    const float *weight_scale, *bias;             /* (panels, lanes); no bias is -0.0, which changes nothing */
    const uint8_t *x;                             /* (rows, x_stride) rounded */
    const float *x_scale;                         /* (rows) */
    float *y;                                     /* (rows, y_stride), of which `outputs` are written */
    int64_t steps, rows, x_stride, y_stride, outputs;
    int act;
} Int8Tile;

typedef struct {
    int lanes;    /* outputs of a panel */
    int width;    /* inputs of a step; divides 64 */
    uint8_t flip; /* how rows are rounded: FLIP_UNSIGNED where the products are unsigned times signed */
    void (*product)(const Int8Tile *);
} Int8Product;

/* Go on to the next panel: a product does one after the other, and a single row would notice a call for each. */
static inline void tt_int8_next_panel(Int8Tile *t, int lanes, int width) {
    t->weights += t->steps * lanes * width;
    t->start += lanes;
    t->weight_scale += lanes;
    t->bias += lanes;
    t->y += lanes;
    t->outputs -= lanes;
}

extern const Int8Product tt_int8_product_portable;
#ifdef TT_X86
extern const Int8Product tt_int8_product_avx2, tt_int8_product_avx512;
#endif
#ifdef TT_ARM
extern const Int8Product tt_int8_product_neon;
#endif
#endif
