/* Training: what its files share. An operation reads and writes arrays of Python's, float32 and channels last, in one call.

   Unlike those of a program, operations keep nothing between two calls: weights change with every step. No result depends
   on the number of threads: outputs are divided among them, and sums are taken in blocks of a fixed size, in order. */
#ifndef TT_TRAIN_H
#define TT_TRAIN_H
#include "op.h"

enum { TRAIN_DIMS = 16, TRAIN_SCALARS = 8, TRAIN_ARRAYS = 10 };

typedef struct {
    int isa, threads;
    int dim_count, scalar_count, array_count;
    int64_t dim[TRAIN_DIMS];
    double scalar[TRAIN_SCALARS];
    void *array[TRAIN_ARRAYS];          /* NULL where None was given; none overlaps another */
    int64_t bytes[TRAIN_ARRAYS];        /* 0 for None */
    unsigned written;                   /* as the kind says */
} TrainCall;

typedef struct TrainKind {
    const char *name;
    int dims, scalars, arrays;
    unsigned written;                   /* bit i: array i is written */
    /* NULL if dims and array sizes fit together, else what is wrong. After it nothing that run() does leaves an array. */
    const char *(*check)(const TrainCall *);
    int (*run)(const TrainCall *);      /* 0, or -1 for no memory */
} TrainKind;

extern const TrainKind tt_train_conv_kinds[], tt_train_image_kinds[], tt_train_update_kinds[];

/* Numbers of bytes as products of sizes that may overflow: -1 then. */
int64_t tt_train_bytes(int64_t element, const int64_t *size, int count);
/* 64-byte aligned memory, not zeroed; NULL when there is none left. To be freed. */
void *tt_train_alloc(int64_t bytes);
/* How many threads work that takes one of them so many nanoseconds is worth. */
int tt_train_threads(const TrainCall *, double ns);
/* Do items of work, which do not depend on one another, on up to so many threads; `thread` counts from 0. */
typedef void (*Work)(const void *task, int64_t item, int thread);
void tt_train_for_each(int64_t items, int threads, Work work, const void *task);

/* ---- Convolution, as one instruction set computes it (train_body.h) ---- */

/* Some output pixels of one image: each is a product of its window with the packed weights
   [outputs / group][rows * run][group], the last group filled up with zeros. */
typedef struct {
    const float *window;                /* of the first output pixel; a window row is `run` neighbouring numbers */
    int64_t pixel_step, line_step;      /* from one pixel's window to the next one's, from one row's to the next's */
    int64_t row_step;                   /* from one row of a window to the next */
    int64_t rows, run;
    int64_t width, pixels;              /* output pixels in a row, and in all */
    int64_t outputs;
    const float *weights;
    const float *bias;                  /* filled up to whole groups */
    float *out;
    int64_t out_pixel, out_line;        /* from one output pixel to the next, from one row to the next */
} TrainConv;

/* The gradient of `rows` x `outputs` weights: sums over pixels of x (run numbers of a window row) times gradient. */
typedef struct {
    const float *x, *grad;              /* at the first pixel */
    int64_t x_pixel, x_line, grad_pixel, grad_line;
    int64_t width, height;              /* pixels */
    int64_t rows, outputs;              /* of the tile: at most weight_rows and `group` */
    float *sum;                         /* added to */
    int64_t sum_row;                    /* from one row of weights to the next */
} TrainWeights;

typedef struct {
    int64_t group, weight_rows;
    void (*conv)(const TrainConv *);
    void (*weights)(const TrainWeights *);
    void (*relu)(const float *x, float *out, int64_t count);
    void (*relu_grad)(const float *grad, const float *out, float *result, int64_t count);
    /* Per channel over `count` values, whose channels repeat every `period`: see train_image.c. */
    void (*add_to)(const float *x, float *sum, int64_t count, int64_t period);
    void (*add_squares)(const float *x, const float *mean, float *sum, int64_t count, int64_t period);
    void (*add_products)(const float *g, const float *x, const float *mean, float *sum, float *products, int64_t count,
                         int64_t period);
    void (*normalize)(const float *x, const float *mean, const float *factor, const float *shift, float *out, int64_t count,
                      int64_t period);
    void (*normalize_grad)(const float *g, const float *x, const float *mean, const float *slope, const float *offset,
                           const float *factor, float *out, int64_t count, int64_t period);
    /* The largest of the taps' values for each channel, and which it was first. */
    void (*pool)(const float *const *tap, int taps, int64_t channels, float *out, uint8_t *which);
    /* Where windows are apart their taps are set, else added to. */
    void (*unpool)(const float *grad, const uint8_t *which, float *const *tap, int taps, int64_t channels, int are_apart);
    void (*adam)(float *p, const float *g, float *m, float *v, int64_t count, const float *factors);
    void (*sgd)(float *p, const float *g, float *velocity, int64_t count, const float *factors);
} TrainPath;

extern const TrainPath tt_train_portable, tt_train_neon, tt_train_avx2, tt_train_avx512;
const TrainPath *tt_train_path(int isa);

#endif
