/* The rows of pools for AVX-512. */
#include <math.h>

#include "image.h"
#ifdef TT_X86
#define ROW(name) tt_##name##_pool_row_avx512
#include "begin_avx512.h"

#include "image_body.h"

#include "end_isa.h"
#endif
