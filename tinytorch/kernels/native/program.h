/* A program: the operations of one network, the buffers between them, and how it runs. No Python in here. */
#ifndef TT_PROGRAM_H
#define TT_PROGRAM_H
#include "op.h"

enum { MAX_OPS = 1 << 16, MAX_PROGRAM_SLOTS = 1 << 16, MAX_THREADS = 1024, MESSAGE_SIZE = 256 };

/* Slot 0 is the caller's input, slot 1 the caller's output; the others are the program's own buffers. */
enum { SLOT_IN, SLOT_OUT, CALLERS_SLOTS };

typedef struct {
    Op *op;
    RunOp *run; /* op[i].kind->run of the instruction set, looked up once */
    int op_count;
    int64_t *slot_bytes; /* bytes a sample */
    char **slot;         /* [SLOT_IN] and [SLOT_OUT] are set for the time of a run */
    int slot_count;
    int64_t batch; /* the most samples that are run at once */
    int threads;
    char *scratch;
    int64_t scratch_bytes;
    char message[MESSAGE_SIZE]; /* what is wrong with it, after a function has failed */
} Program;

typedef enum { PROGRAM_OK, PROGRAM_INVALID, PROGRAM_NO_MEMORY } ProgramStatus;

/* A program of so many operations and slots, all zero, for the caller to describe; NULL when there is no memory left. */
Program *program_new(int op_count, int slot_count);
/* Check all that was described, pack the weights and allocate the buffers. To be called once, before any run. */
ProgramStatus program_plan(Program *, int isa);
void program_free(Program *);

/* Run `samples` samples, `batch` at a time; `in` and `out` hold slot_bytes times so many bytes, aligned as floats are. */
void program_run(Program *, const char *in, char *out, int64_t samples);
/* The same, adding to each operation's `ns` how long it took. */
void program_time(Program *, const char *in, char *out, int64_t samples, int64_t *ns);
/* What reading the clock adds to the time of an operation. */
int64_t program_clock_ns(void);
/* Bytes that a run of a whole batch reads and writes: buffers, scratch, and of weights that were packed the packed ones. */
int64_t program_working_set(const Program *);

/* The kind with this name, or NULL; and the name of the kind with this number, or NULL beyond the last. */
const OpKind *program_kind(const char *name);
const char *program_kind_name(int number);

/* features.c: the most that this processor and operating system offer, and whether they offer `isa`. */
extern const char *const tt_isa_names[ISA_COUNT];
int tt_best_isa(void);
int tt_has_isa(int isa);
/* The version of OpenMP (_OPENMP) that parallel loops were compiled for, or 0: they run on one thread. */
int tt_openmp(void);
#endif
