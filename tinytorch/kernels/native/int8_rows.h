/* Rounding rows of float32 to int8 by one scale a row: what comes before every product of integers.

As kernels/quantized.py does it, bit for bit: q = rint(x / scale), halves to even, saturated at ±127. A row that holds a
NaN (or, with a dynamic scale, an infinity) has no integers: its scale becomes NaN and its integers 0, so that the product
makes every output of it NaN. */
#ifndef TT_INT8_ROWS_H
#define TT_INT8_ROWS_H
#include "op.h"

enum { INT8_NAN = -128 }; /* what stands for a NaN where a slot holds int8; no rounded number is -128 */

/* flip: FLIP_NONE leaves signed bytes, FLIP_UNSIGNED makes them q + 128, as VNNI wants them. */
enum { FLIP_NONE = 0, FLIP_UNSIGNED = 128 };

typedef struct {
    /* max|x| / 127, at least the smallest normal float32; NaN where an x is NaN or infinite. */
    float (*dynamic_scale)(const float *x, int64_t n);
    /* q[i] = rint(x[i] / scale) ^ flip, INT8_NAN ^ flip where that is NaN; not 0 if one is. */
    int (*round)(const float *x, int64_t n, float scale, uint8_t flip, uint8_t *q);
} Int8Rows;

/* The functions for an instruction set. */
const Int8Rows *tt_int8_rows(int isa);

/* Round a row by `scale`, or by its own where scale is NULL; return the scale of its product, NaN as said above. */
float tt_int8_row(const Int8Rows *rows, const float *x, int64_t n, const float *scale, uint8_t flip, uint8_t *q);

/* For the files of single instruction sets: the scale of a row whose largest |x| has these bits, and plain C for the rest
   of a row. */
float tt_int8_scale_of_largest(int32_t bits);
float tt_int8_scale_portable(const float *x, int64_t n);
int tt_int8_round_portable(const float *x, int64_t n, float scale, uint8_t flip, uint8_t *q);
#ifdef TT_X86
extern const Int8Rows tt_int8_rows_avx2, tt_int8_rows_avx512;
#endif
#endif
