/* Read what Python says of a program: operations with their slots, numbers and arrays. */
#include "python_object.h"

static int read_int64(PyObject *sequence, Py_ssize_t index, int64_t *value) {
    PyObject *item = PySequence_GetItem(sequence, index);
    if (!item)
        return -1;
    *value = PyLong_AsLongLong(item);
    Py_DECREF(item);
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

static int read_float(PyObject *sequence, Py_ssize_t index, float *value) {
    PyObject *item = PySequence_GetItem(sequence, index);
    if (!item)
        return -1;
    double number = PyFloat_AsDouble(item);
    Py_DECREF(item);
    *value = (float)number;
    return number == -1 && PyErr_Occurred() ? -1 : 0;
}

/* The length of a sequence that an Op has `most` places for; -1 with an exception for what is longer or no sequence. */
static int length_within(PyObject *sequence, int most, const char *what) {
    Py_ssize_t length = PySequence_Size(sequence);
    if (length <= most)
        return (int)length;
    PyErr_Format(PyExc_ValueError, "%zd %s are more than the %d that a program may have", length, what, most);
    return -1;
}

static int read_slots(Op *op, PyObject *slots) {
    op->slot_count = length_within(slots, MAX_SLOTS, "slots");
    for (int i = 0; i < op->slot_count; i++) {
        int64_t slot;
        if (read_int64(slots, i, &slot))
            return -1;
        op->slot[i] = slot < 0 || slot >= MAX_PROGRAM_SLOTS ? -1 : (int)slot;
    }
    return op->slot_count < 0 ? -1 : 0;
}

static int read_numbers(Op *op, PyObject *dims, PyObject *scalars) {
    op->dim_count = length_within(dims, MAX_DIMS, "dimensions");
    for (int i = 0; i < op->dim_count; i++)
        if (read_int64(dims, i, &op->dim[i]))
            return -1;
    op->scalar_count = length_within(scalars, MAX_SCALARS, "scalars");
    for (int i = 0; i < op->scalar_count; i++)
        if (read_float(scalars, i, &op->scalar[i]))
            return -1;
    return op->dim_count < 0 || op->scalar_count < 0 ? -1 : 0;
}

/* Borrow one array; writable if it can be, since a cache is written to. */
static int borrow(ProgramObject *self, Op *op, int index, PyObject *array) {
    Py_buffer *view = &self->view[self->view_count];
    const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    op->is_writable[index] = PyObject_GetBuffer(array, view, flags | PyBUF_WRITABLE) == 0;
    if (!op->is_writable[index]) {
        PyErr_Clear();
        if (PyObject_GetBuffer(array, view, flags))
            return -1;
    }
    self->view_count++;
    if (view->itemsize > 0 && (uintptr_t)view->buf % (size_t)view->itemsize) {
        PyErr_SetString(PyExc_ValueError, "an array is not aligned to its elements");
        return -1;
    }
    op->array[index] = view->buf;
    op->array_bytes[index] = view->len;
    return 0;
}

static int read_arrays(ProgramObject *self, Op *op, PyObject *arrays) {
    op->array_count = length_within(arrays, MAX_ARRAYS, "arrays");
    for (int i = 0; i < op->array_count; i++) {
        PyObject *array = PySequence_GetItem(arrays, i);
        int failed = !array || (array != Py_None && borrow(self, op, i, array));
        Py_XDECREF(array);
        if (failed)
            return -1;
    }
    return op->array_count < 0 ? -1 : 0;
}

static int read_op(ProgramObject *self, Op *op, PyObject *description) {
    const char *name;
    PyObject *slots, *dims, *scalars, *arrays;
    PyObject *tuple = PySequence_Tuple(description);
    if (!tuple)
        return -1;
    int failed = !PyArg_ParseTuple(tuple, "sOOOO:operation", &name, &slots, &dims, &scalars, &arrays);
    if (!failed && !(op->kind = program_kind(name))) {
        PyErr_Format(PyExc_ValueError, "there is no operation called '%s'", name);
        failed = 1;
    }
    failed = failed || read_slots(op, slots) || read_numbers(op, dims, scalars) || read_arrays(self, op, arrays);
    Py_DECREF(tuple);
    return failed ? -1 : 0;
}

int tt_describe(ProgramObject *self, PyObject *ops, PyObject *slots) {
    int op_count = length_within(ops, MAX_OPS, "operations");
    int slot_count = op_count < 0 ? -1 : length_within(slots, MAX_PROGRAM_SLOTS, "slots");
    if (op_count < 0 || slot_count < 0)
        return -1;
    if (slot_count < CALLERS_SLOTS) {
        PyErr_SetString(PyExc_ValueError, "a program has slots for its input (0) and its output (1)");
        return -1;
    }
    self->program = program_new(op_count, slot_count);
    self->view = PyMem_Calloc((size_t)op_count * MAX_ARRAYS + 1, sizeof *self->view);
    self->has_lock = pthread_mutex_init(&self->lock, NULL) == 0;
    if (!self->program || !self->view || !self->has_lock) {
        PyErr_NoMemory();
        return -1;
    }
    for (int i = 0; i < slot_count; i++)
        if (read_int64(slots, i, &self->program->slot_bytes[i]))
            return -1;
    for (int i = 0; i < op_count; i++) {
        PyObject *description = PySequence_GetItem(ops, i);
        int failed = !description || read_op(self, &self->program->op[i], description);
        Py_XDECREF(description);
        if (failed)
            return -1;
    }
    return 0;
}
