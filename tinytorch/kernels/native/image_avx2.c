/* The rows of pools for AVX2. */
#include <math.h>

#include "image.h"
#ifdef TT_X86
#define ROW(name) tt_##name##_pool_row_avx2
#include "begin_avx2.h"

#include "image_body.h"

#include "end_isa.h"
#endif
