/* The elementwise functions for AVX-512. */
#include <math.h>
#include <string.h>

#include "elementwise.h"

#if TT_X86
#define FMA 1
#define RUN(name) tt_##name##_avx512
#include "begin_avx512.h"

#include "elementwise_body.h"

#include "end_isa.h"
#endif
