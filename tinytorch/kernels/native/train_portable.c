/* Training in plain C: vectors of four floats, which every 64-bit processor has or compilers take apart. */
#define LANES 4
#define PIXELS 4
#define WEIGHT_ROWS 4
#define MULTIPLY_ADD(sum, a, b) ((sum) + (a) * (b))
#define PATH tt_train_portable
#include "train_body.h"
