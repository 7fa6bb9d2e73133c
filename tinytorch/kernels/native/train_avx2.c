/* Training with AVX2: 6 pixels, or 4 rows of weights, by two registers of 8 outputs; there are 16 registers. */
#include "op.h"
#ifdef TT_X86
#include <immintrin.h>
#include "begin_avx2.h"

#define LANES 8
#define PIXELS 6
#define WEIGHT_ROWS 4
#define MULTIPLY_ADD(sum, a, b) ((Vector)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(sum)))
#define PATH tt_train_avx2
#include "train_body.h"

#include "end_isa.h"
#endif
