/* Convolution and its two gradients.

   Forward and the input's gradient are the same walk: windows of a source, padded with zeros, times packed weights. The
   gradient of an input that was read with a stride is one such walk for each remainder of the position divided by it. */
#include "train.h"

#include <stdlib.h>
#include <string.h>

enum { N, H, W, C, O, KH, KW, SH, SW, PH, PW, DIMS };
enum { BUFFER_BYTES = 1 << 17, TILE_PIXELS = 256 };
static const double MACS_A_NS = 40;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t quotient_up(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }
static int64_t quotient_down(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

static int64_t out_size(const TrainCall *c, int axis) {
    return (c->dim[H + axis] + 2 * c->dim[PH + axis] - c->dim[KH + axis]) / c->dim[SH + axis] + 1;
}

static double macs(const TrainCall *c) {
    return (double)c->dim[N] * (double)out_size(c, 0) * (double)out_size(c, 1) * (double)c->dim[O] * (double)c->dim[KH] *
           (double)c->dim[KW] * (double)c->dim[C];
}

/* ---- Checks ---- */

static const char *check_sizes(const TrainCall *c, int image, int weights, int out) {
    enum { LARGEST = 1 << 24 };
    if (c->dim[N] < 0) return "the number of images is negative";
    for (int i = H; i <= SW; i++)
        if (c->dim[i] < 1 || c->dim[i] > LARGEST) return "a size is not within 1 and 2**24";
    for (int axis = 0; axis < 2; axis++) {
        const int64_t padding = c->dim[PH + axis];
        if (padding < 0 || padding > LARGEST) return "padding is not within 0 and 2**24";
        if (c->dim[KH + axis] > c->dim[H + axis] + 2 * padding) return "the kernel is larger than the padded image";
    }
    const int64_t padded[] = {most(c->dim[N], 1), c->dim[H] + 2 * c->dim[PH], c->dim[W] + 2 * c->dim[PW], c->dim[C]};
    if (tt_train_bytes(4, padded, 4) < 0) return "the padded images are too large";
    const int64_t images[] = {c->dim[N], c->dim[H], c->dim[W], c->dim[C]};
    const int64_t kernels[] = {c->dim[KH], c->dim[KW], c->dim[C], c->dim[O]};
    const int64_t outs[] = {c->dim[N], out_size(c, 0), out_size(c, 1), c->dim[O]};
    if (!c->array[image] || c->bytes[image] != tt_train_bytes(4, images, 4)) return "the images have another size";
    if (!c->array[weights] || c->bytes[weights] != tt_train_bytes(4, kernels, 4)) return "the weights have another size";
    if (!c->array[out] || c->bytes[out] != tt_train_bytes(4, outs, 4)) return "the outputs have another size";
    return NULL;
}

static const char *check_forward(const TrainCall *c) {
    const char *wrong = check_sizes(c, 0, 1, 3);
    return wrong || !c->array[2] || c->bytes[2] == c->dim[O] * 4 ? wrong : "the bias is not one an output";
}

static const char *check_input(const TrainCall *c) { return check_sizes(c, 2, 1, 0); }

static const char *check_weights(const TrainCall *c) { return check_sizes(c, 1, 2, 0); }

/* ---- The walk ---- */

/* A window's corner is at (start_y, start_x) of the source for the first output pixel, and moves by a step for the next. */
typedef struct {
    const TrainPath *path;
    const float *source;
    int64_t source_h, source_w, channels;
    int64_t kernel_h, kernel_w, start_y, start_x, step_y, step_x;
    int64_t out_h, out_w, outputs, out_pixel, out_line, out_image;
    float *out;
    const float *weights, *bias;
    int64_t block_rows, blocks;     /* of output rows of an image: one item of work */
    char *scratch;                  /* for each thread, a block's part of the source with its padding */
    int64_t scratch_bytes;
} Walk;

static void copy_padded(const Walk *w, const float *image, int64_t y, int64_t y_end, int64_t width, float *to) {
    const int64_t line = width * w->channels, first = most(0, w->start_x), last = least(w->source_w, w->start_x + width);
    for (; y < y_end; y++, to += line) {
        if (y < 0 || y >= w->source_h || last <= first) {
            memset(to, 0, (size_t)line * 4);
            continue;
        }
        const int64_t before = (first - w->start_x) * w->channels, copied = (last - first) * w->channels;
        memset(to, 0, (size_t)before * 4);
        memcpy(to + before, image + (y * w->source_w + first) * w->channels, (size_t)copied * 4);
        memset(to + before + copied, 0, (size_t)(line - before - copied) * 4);
    }
}

static int64_t buffer_width(const Walk *w) { return (w->out_w - 1) * w->step_x + w->kernel_w; }

static void walk_block(const void *task, int64_t item, int thread) {
    const Walk *w = task;
    const int64_t image = item / w->blocks, row = item % w->blocks * w->block_rows;
    const int64_t row_end = least(row + w->block_rows, w->out_h), width = buffer_width(w);
    const int64_t y = w->start_y + row * w->step_y, y_end = w->start_y + (row_end - 1) * w->step_y + w->kernel_h;
    const float *from = w->source + image * w->source_h * w->source_w * w->channels;
    int64_t line = w->source_w * w->channels;
    const int is_inside = y >= 0 && y_end <= w->source_h && w->start_x >= 0 && w->start_x + width <= w->source_w;
    const float *window = from;
    if (is_inside)
        window += y * line + w->start_x * w->channels;
    else {
        float *padded = (float *)(w->scratch + thread * w->scratch_bytes);
        copy_padded(w, from, y, y_end, width, padded);
        window = padded;
        line = width * w->channels;
    }
    const TrainConv conv = {
        .window = window,
        .pixel_step = w->step_x * w->channels,
        .line_step = w->step_y * line,
        .row_step = line,
        .rows = w->kernel_h,
        .run = w->kernel_w * w->channels,
        .width = w->out_w,
        .pixels = (row_end - row) * w->out_w,
        .outputs = w->outputs,
        .weights = w->weights,
        .bias = w->bias,
        .out = w->out + image * w->out_image + row * w->out_line,
        .out_pixel = w->out_pixel,
        .out_line = w->out_line,
    };
    w->path->conv(&conv);
}

static int walk(Walk *w, int64_t images, int threads) {
    const int64_t line_bytes = buffer_width(w) * w->channels * 4;
    const int64_t rows = most(w->kernel_h, BUFFER_BYTES / most(line_bytes, 1));
    w->block_rows = least(w->out_h, most(1, (rows - w->kernel_h) / w->step_y + 1));
    w->blocks = (w->out_h + w->block_rows - 1) / w->block_rows;
    w->scratch_bytes = (((w->block_rows - 1) * w->step_y + w->kernel_h) * line_bytes + 63) / 64 * 64;
    const int64_t parts = threads;
    w->scratch = tt_train_alloc(tt_train_bytes(w->scratch_bytes, &parts, 1));
    if (!w->scratch) return -1;
    tt_train_for_each(images * w->blocks, threads, walk_block, w);
    free(w->scratch);
    return 0;
}

/* Where the weights of a walk are, and how far apart they lie in each direction. */
typedef struct {
    const float *first;
    int64_t row, column, channel, output;
} Layout;

/* Into [outputs / group][kernel_h][kernel_w][channels][group], filled up with zeros. */
static void pack(const Walk *w, const Layout *from, float *to) {
    const int64_t group = w->path->group;
    for (int64_t first = 0; first < w->outputs; first += group) {
        const int64_t count = least(group, w->outputs - first);
        for (int64_t i = 0; i < w->kernel_h; i++)
            for (int64_t j = 0; j < w->kernel_w; j++) {
                const float *at = from->first + i * from->row + j * from->column + first * from->output;
                for (int64_t c = 0; c < w->channels; c++, at += from->channel, to += group) {
                    for (int64_t o = 0; o < count; o++) to[o] = at[o * from->output];
                    for (int64_t o = count; o < group; o++) to[o] = 0;
                }
            }
    }
}

static int packed_walk(Walk *w, const Layout *weights, const float *bias, int64_t images, int threads) {
    const int64_t group = w->path->group, outputs = (w->outputs + group - 1) / group * group;
    const int64_t count = outputs * w->kernel_h * w->kernel_w * w->channels;
    float *packed = tt_train_alloc((count + outputs) * 4);
    if (!packed) return -1;
    pack(w, weights, packed);
    memset(packed + count, 0, (size_t)outputs * 4);
    if (bias) memcpy(packed + count, bias, (size_t)w->outputs * 4);
    w->weights = packed;
    w->bias = packed + count;
    const int failed = walk(w, images, threads);
    free(packed);
    return failed;
}

static int forward(const TrainCall *c) {
    if (!c->dim[N]) return 0;
    const int64_t outputs = c->dim[O], channels = c->dim[C], line = out_size(c, 1) * outputs;
    Walk w = {
        .path = tt_train_path(c->isa),
        .source = c->array[0],
        .source_h = c->dim[H], .source_w = c->dim[W], .channels = channels,
        .kernel_h = c->dim[KH], .kernel_w = c->dim[KW],
        .start_y = -c->dim[PH], .start_x = -c->dim[PW],
        .step_y = c->dim[SH], .step_x = c->dim[SW],
        .out_h = out_size(c, 0), .out_w = out_size(c, 1), .outputs = outputs,
        .out_pixel = outputs, .out_line = line, .out_image = out_size(c, 0) * line,
        .out = c->array[3],
    };
    const Layout weights = {c->array[1], c->dim[KW] * channels * outputs, channels * outputs, outputs, 1};
    return packed_walk(&w, &weights, c->array[2], c->dim[N], tt_train_threads(c, macs(c) / MACS_A_NS));
}

/* ---- The input's gradient ---- */

/* Along one axis, the positions p of the input with (p + padding) % stride == rest: each gets gradients from the outputs
   q - taps + 1 .. q, where q = (p + padding - rest) / stride, by the weights rest + stride * (taps - 1), .., rest. */
typedef struct {
    int64_t taps, first, count, start;  /* first position, how many, and the output that its window begins at */
    int64_t last_tap;
} Phase;

static Phase phase(const TrainCall *c, int axis, int64_t rest) {
    const int64_t size = c->dim[H + axis], kernel = c->dim[KH + axis], stride = c->dim[SH + axis], padding = c->dim[PH + axis];
    const int64_t taps = rest < kernel ? (kernel - rest + stride - 1) / stride : 0;
    const int64_t q = quotient_up(padding - rest, stride), q_last = quotient_down(size - 1 + padding - rest, stride);
    return (Phase){
        .taps = taps,
        .first = q * stride + rest - padding,
        .count = most(0, q_last - q + 1),
        .start = q - taps + 1,
        .last_tap = rest + stride * (taps - 1),
    };
}

static int input_phase(const TrainCall *c, const Phase *y, const Phase *x, int threads) {
    const int64_t outputs = c->dim[O], channels = c->dim[C], line = c->dim[W] * channels, tap = channels * outputs;
    Walk w = {
        .path = tt_train_path(c->isa),
        .source = c->array[0],
        .source_h = out_size(c, 0), .source_w = out_size(c, 1), .channels = outputs,
        .kernel_h = y->taps, .kernel_w = x->taps,
        .start_y = y->start, .start_x = x->start, .step_y = 1, .step_x = 1,
        .out_h = y->count, .out_w = x->count, .outputs = channels,
        .out_pixel = c->dim[SW] * channels, .out_line = c->dim[SH] * line, .out_image = c->dim[H] * line,
        .out = (float *)c->array[2] + y->first * line + x->first * channels,
    };
    const Layout weights = {
        .first = (const float *)c->array[1] + (y->last_tap * c->dim[KW] + x->last_tap) * tap,
        .row = -c->dim[SH] * c->dim[KW] * tap, .column = -c->dim[SW] * tap, .channel = 1, .output = outputs,
    };
    return packed_walk(&w, &weights, NULL, c->dim[N], threads);
}

static int input_grad(const TrainCall *c) {
    if (!c->dim[N]) return 0;
    /* Other remainders are in no window, and there may be billions of them. */
    const int64_t rows = least(c->dim[SH], c->dim[KH]), columns = least(c->dim[SW], c->dim[KW]);
    const int threads = tt_train_threads(c, macs(c) / MACS_A_NS / (double)(rows * columns));
    if (c->dim[SH] > c->dim[KH] || c->dim[SW] > c->dim[KW]) memset(c->array[2], 0, (size_t)c->bytes[2]);
    for (int64_t rest = 0; rest < rows * columns; rest++) {
        const Phase y = phase(c, 0, rest / columns), x = phase(c, 1, rest % columns);
        if (y.count && x.count && input_phase(c, &y, &x, threads)) return -1;
    }
    return 0;
}

/* ---- The weights' gradient ---- */

/* Tiles of the weights are divided among threads, each of which goes over all images: every sum has its own order. */
typedef struct {
    const TrainCall *call;
    const TrainPath *path;
    const float *x, *grad;
    float *sum;
    int64_t x_h, x_w, pad_h, pad_w;  /* of x, which may be a padded copy */
    int64_t taps_w, run;             /* a window row is so many runs of neighbouring numbers */
    int64_t out_h, out_w;
    int64_t chunks, tiles, shares;   /* of tiles, each for one thread */
    int threads;
} Sums;

/* The outputs from `first` to `last`, cut to those whose window position `tap` lies in the image. */
static int64_t cut(int64_t *first, int64_t last, int64_t tap, int64_t padding, int64_t stride, int64_t size) {
    *first = most(*first, quotient_up(padding - tap, stride));
    return least(last, quotient_down(size - 1 + padding - tap, stride) + 1) - *first;
}

static void sum_tile(const Sums *s, int64_t tile, int64_t image, int64_t row, int64_t row_end) {
    const int64_t *dim = s->call->dim, outputs = dim[O], channels = dim[C];
    const int64_t chunk = tile % s->chunks, tap = tile / s->chunks % (dim[KH] * s->taps_w);
    const int64_t group = tile / s->chunks / (dim[KH] * s->taps_w) * s->path->group, k = chunk * s->path->weight_rows;
    const int64_t i = tap / s->taps_w, j = tap % s->taps_w;
    int64_t y = row, x = 0;
    const int64_t height = cut(&y, row_end, i, s->pad_h, dim[SH], s->x_h);
    const int64_t width = cut(&x, s->out_w, j, s->pad_w, dim[SW], s->x_w);
    if (height <= 0 || width <= 0) return;
    const int64_t at_y = image * s->x_h + y * dim[SH] + i - s->pad_h, at_x = x * dim[SW] + j - s->pad_w;
    const TrainWeights weights = {
        .x = s->x + (at_y * s->x_w + at_x) * channels + k,
        .grad = s->grad + ((image * s->out_h + y) * s->out_w + x) * outputs + group,
        .x_pixel = dim[SW] * channels, .x_line = dim[SH] * s->x_w * channels,
        .grad_pixel = outputs, .grad_line = s->out_w * outputs,
        .width = width, .height = height,
        .rows = least(s->path->weight_rows, s->run - k), .outputs = least(s->path->group, outputs - group),
        .sum = s->sum + (tap * s->run + k) * outputs + group, .sum_row = outputs,
    };
    s->path->weights(&weights);
}

static void sum_tiles(const void *task, int64_t item, int thread) {
    const Sums *s = task;
    const int64_t first = item * s->tiles / s->shares, last = (item + 1) * s->tiles / s->shares;
    const int64_t rows = most(1, TILE_PIXELS / s->out_w);
    (void)thread;
    for (int64_t image = 0; image < s->call->dim[N]; image++)
        for (int64_t row = 0; row < s->out_h; row += rows)
            for (int64_t tile = first; tile < last; tile++) sum_tile(s, tile, image, row, least(row + rows, s->out_h));
}

typedef struct {
    Walk walk;
    float *to;
    int64_t height, width;
} Padding;

static void pad_image(const void *task, int64_t image, int thread) {
    const Padding *p = task;
    const Walk *w = &p->walk;
    (void)thread;
    copy_padded(w, w->source + image * w->source_h * w->source_w * w->channels, w->start_y, w->start_y + p->height, p->width,
                p->to + image * p->height * p->width * w->channels);
}

/* Where images have few channels, a run of one window position would leave most of a tile empty: runs of a whole window
   row, then, for which the images are copied with their padding. */
static float *padded_copy(Sums *s) {
    const TrainCall *c = s->call;
    Padding p = {
        .walk = {.source = s->x, .source_h = c->dim[H], .source_w = c->dim[W], .channels = c->dim[C],
                 .start_y = -c->dim[PH], .start_x = -c->dim[PW]},
        .height = c->dim[H] + 2 * c->dim[PH], .width = c->dim[W] + 2 * c->dim[PW],
    };
    const int64_t size[] = {c->dim[N], p.height, p.width, c->dim[C]};
    p.to = tt_train_alloc(tt_train_bytes(4, size, 4));
    if (!p.to) return NULL;
    tt_train_for_each(c->dim[N], s->threads, pad_image, &p);
    s->x = p.to;
    s->x_h = p.height;
    s->x_w = p.width;
    s->pad_h = s->pad_w = 0;
    s->taps_w = 1;
    s->run = c->dim[KW] * c->dim[C];
    return p.to;
}

static int weight_grad(const TrainCall *c) {
    Sums s = {
        .call = c, .path = tt_train_path(c->isa),
        .grad = c->array[0], .x = c->array[1], .sum = c->array[2],
        .x_h = c->dim[H], .x_w = c->dim[W], .pad_h = c->dim[PH], .pad_w = c->dim[PW],
        .taps_w = c->dim[KW], .run = c->dim[C],
        .out_h = out_size(c, 0), .out_w = out_size(c, 1),
        .threads = tt_train_threads(c, macs(c) / MACS_A_NS),
    };
    float *padded = NULL;
    if (c->dim[C] < s.path->weight_rows && c->dim[KW] > 1 && !(padded = padded_copy(&s))) return -1;
    s.chunks = (s.run + s.path->weight_rows - 1) / s.path->weight_rows;
    s.tiles = (c->dim[O] + s.path->group - 1) / s.path->group * c->dim[KH] * s.taps_w * s.chunks;
    memset(s.sum, 0, (size_t)c->bytes[2]);
    s.shares = s.threads > 1 ? least(s.tiles, 3 * s.threads) : 1;
    tt_train_for_each(s.shares, s.threads, sum_tiles, &s);
    free(padded);
    return 0;
}

const TrainKind tt_train_conv_kinds[] = {
    {"conv2d", DIMS, 0, 4, 1 << 3, check_forward, forward},
    {"conv2d_input_grad", DIMS, 0, 3, 1 << 2, check_input, input_grad},
    {"conv2d_weight_grad", DIMS, 0, 3, 1 << 2, check_weights, weight_grad},
    {NULL, 0, 0, 0, 0, NULL, NULL},
};
