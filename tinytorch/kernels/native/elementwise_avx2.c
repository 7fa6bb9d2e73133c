/* The elementwise functions for AVX2 with FMA. */
#include <math.h>
#include <string.h>

#include "elementwise.h"

#if TT_X86
#define FMA 1
#define RUN(name) tt_##name##_avx2
#include "begin_avx2.h"

#include "elementwise_body.h"

#include "end_isa.h"
#endif
