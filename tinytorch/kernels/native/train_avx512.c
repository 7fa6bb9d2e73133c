/* Training with AVX-512: 8 pixels, or 8 rows of weights, by two registers of 16 outputs. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>
#include "begin_avx512.h"

#define LANES 16
#define PIXELS 8
#define WEIGHT_ROWS 8
#define MULTIPLY_ADD(sum, a, b) ((Vector)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(sum)))
#define PATH tt_train_avx512
#include "train_body.h"

#include "end_isa.h"
#endif
