/* The optimizers' steps: p is updated in place from its gradient. Divided among threads in blocks, number by number. */
#include "train.h"

enum { BLOCK = 1 << 14, FACTORS = 8 };
static const double VALUES_A_NS = 2;

static const char *check(const TrainCall *c) {
    const int64_t bytes = tt_train_bytes(4, c->dim, 1);
    for (int i = 0; i < c->array_count; i++) {
        const int is_left_out = c->scalar_count == 3 && i == 2 && !c->array[i]; /* SGD without momentum */
        if (!is_left_out && (bytes < 0 || !c->array[i] || c->bytes[i] != bytes)) return "an array does not hold so many numbers";
    }
    return NULL;
}

typedef struct {
    const TrainCall *call;
    float factor[FACTORS];
} Update;

static void update_block(const void *task, int64_t block, int thread) {
    const Update *u = task;
    const TrainCall *c = u->call;
    const int64_t at = block * BLOCK, count = c->dim[0] - at < BLOCK ? c->dim[0] - at : BLOCK;
    const TrainPath *path = tt_train_path(c->isa);
    float *p = (float *)c->array[0] + at, *third = c->array[2] ? (float *)c->array[2] + at : NULL;
    const float *g = (const float *)c->array[1] + at;
    (void)thread;
    if (c->array_count == 4)
        path->adam(p, g, third, (float *)c->array[3] + at, count, u->factor);
    else
        path->sgd(p, g, third, count, u->factor);
}

static int update(const TrainCall *c) {
    Update u = {.call = c};
    for (int i = 0; i < c->scalar_count; i++) u.factor[i] = (float)c->scalar[i];
    tt_train_for_each((c->dim[0] + BLOCK - 1) / BLOCK, tt_train_threads(c, (double)c->dim[0] / VALUES_A_NS), update_block, &u);
    return 0;
}

const TrainKind tt_train_update_kinds[] = {
    {"adam", 1, FACTORS, 4, 1 << 0 | 1 << 2 | 1 << 3, check, update},
    {"sgd", 1, 3, 3, 1 << 0 | 1 << 2, check, update},
    {NULL, 0, 0, 0, 0, NULL, NULL},
};
