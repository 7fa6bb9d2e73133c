/* The elementwise functions for NEON. */
#include <math.h>
#include <string.h>

#include "elementwise.h"

#if TT_ARM
#define FMA 1
#define RUN(name) tt_##name##_neon
#include "begin_neon.h"

#include "elementwise_body.h"

#include "end_isa.h"
#endif
