/* The transformations of F(2x2, 3x3) for AVX2. */
#include "conv_winograd.h"
#ifdef TT_X86
#define WIDTH 8
#include "begin_avx2.h"

#include "conv_winograd_body.h"

#include "end_isa.h"

const WinogradPath tt_winograd_avx2 = {input_tiles, output_tiles};
#endif
