/* Four floats, four integers: SSE2 and NEON have registers of that size, and compilers take them apart elsewhere. */
#ifndef TT_LANES_H
#define TT_LANES_H
#include <stdint.h>

enum { LANES = 4 };
typedef float Lanes __attribute__((vector_size(16), aligned(4)));
typedef int32_t IntegerLanes __attribute__((vector_size(16), aligned(4)));
typedef uint32_t WordLanes __attribute__((vector_size(16), aligned(4)));
#endif
