/* Python's interface for C as both of its users need it, and a program as Python has it. */
#ifndef TT_PYTHON_OBJECT_H
#define TT_PYTHON_OBJECT_H
#include <pyconfig.h> /* says whether Python has its lock; the stable ABI needs it */
#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x030B0000 /* 3.11, the first with buffers in the stable ABI */
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include "program.h"

typedef struct {
    PyObject_HEAD
    Program *program;
    Py_buffer *view; /* what Op.array points into */
    int view_count;
    pthread_mutex_t lock; /* the buffers serve one run at a time; half the cost of Python's own lock */
    int has_lock;
} ProgramObject;

/* Read the sequences of operations and of slot sizes into a new program, whose arrays are borrowed from Python; -1 with
   an exception for what a program cannot hold. What fits together is not looked at. */
int tt_describe(ProgramObject *self, PyObject *ops, PyObject *slots);

/* train_module.c: the module's function `train`. */
PyObject *tt_train(PyObject *module, PyObject *args);
#endif
