/* Plumbline subject ABI, version 1. One file, C99 and C++11, no other header of Plumbline: copy it into your tree.

   A library exports one symbol, plumbline_subject. It returns a table of functions; `plumbline verify --subject
   ./libmine.so` loads the library in a process of its own, draws problems, and judges every step.

   Growing. Every struct begins with its size in bytes as its writer knows it. Later versions append members and never
   change those that are here. A reader ignores what it does not know and takes what lies beyond `size` as absent
   (zero). Elements of an array of structs lie `size` of its first element bytes apart: PLUMBLINE_AT. All calls of one
   session come from one thread, one after another; several sessions may be alive in turn. Strings are UTF-8 and end
   with 0. What the driver hands over lives until the call returns; what the library hands over until the next call for
   the same session. */
#ifndef PLUMBLINE_SUBJECT_H
#define PLUMBLINE_SUBJECT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLUMBLINE_SUBJECT_ABI 1u

/* Element i of an array of structs whose first member is `uint64_t size`. */
#define PLUMBLINE_AT(type, array, i) \
  ((const type*)(const void*)((const char*)(const void*)(array) + (uint64_t)(i) * (array)->size))
/* Whether a struct from the other side is long enough to hold a member. */
#define PLUMBLINE_HAS(pointer, type, member) \
  ((pointer)->size >= (uint64_t)offsetof(type, member) + sizeof((pointer)->member))

/* Fixed-width integers stand for enumerations, so that no compiler option changes a struct. */
typedef int32_t plumbline_type;   /* of elements */
typedef int32_t plumbline_place;  /* of memory */
typedef int32_t plumbline_status; /* of a call */

#define PLUMBLINE_NONE 0
#define PLUMBLINE_F32 1
#define PLUMBLINE_BF16 2
#define PLUMBLINE_F16 3
#define PLUMBLINE_F64 4
#define PLUMBLINE_U8 5
#define PLUMBLINE_I8 6
#define PLUMBLINE_U16 7
#define PLUMBLINE_I16 8
#define PLUMBLINE_I32 9
#define PLUMBLINE_U32 10
#define PLUMBLINE_I64 11
#define PLUMBLINE_U64 12
#define PLUMBLINE_F8_E4M3 13 /* OCP FP8: 448 is the largest, no infinity */
#define PLUMBLINE_F8_E5M2 14
#define PLUMBLINE_U4 15 /* packed: two a byte, the lower nibble first, every row beginning on a byte */
#define PLUMBLINE_I4 16 /* packed likewise, two's complement */

#define PLUMBLINE_HOST 1 /* memory of the process */
#define PLUMBLINE_CUDA 2 /* device pointers of the device that is current when a call begins */

#define PLUMBLINE_OK 0
#define PLUMBLINE_CANNOT \
  1 /* not this problem; `why` says what is missing. An answer, no error: the case is not judged */
#define PLUMBLINE_FAILED 2 /* something went wrong; `why` says what. The case is an error */

/* Where a call says in words why it did not return PLUMBLINE_OK: at most `capacity` bytes, the final 0 included. */
typedef struct plumbline_message {
  uint64_t size;
  char* text;
  uint64_t capacity;
} plumbline_message;

/* An option under the dialect's own name. */
typedef struct plumbline_option {
  uint64_t size;
  const char* name;
  const char* value; /* JSON: 0.01, true, null, [1e-30, 0.001], "right" */
} plumbline_option;

/* Parameters that share options, as in param_groups of torch. */
typedef struct plumbline_group {
  uint64_t size;
  const plumbline_option* options; /* those that are set; all others have the dialect's defaults */
  uint64_t option_count;
} plumbline_group;

/* One parameter of the problem: what it is, not where. */
typedef struct plumbline_tensor {
  uint64_t size;
  const char* name;
  const int64_t* shape; /* `rank` extents, each at least 1; row-major unless an array says otherwise */
  uint32_t rank;        /* 0: one number */
  uint32_t group;       /* its index among the problem's groups */
  plumbline_type parameter;
  plumbline_type gradient;
} plumbline_tensor;

/* What a session is to do. */
typedef struct plumbline_problem {
  uint64_t size;
  const char* dialect; /* the rule: "torch", "optax", "plumbline", ... */
  const plumbline_tensor* tensors;
  uint64_t tensor_count; /* at least 1 */
  const plumbline_group* groups;
  uint64_t group_count; /* at least 1 */
  int64_t steps;        /* how many will be taken, at most */
  uint64_t seed;        /* of whatever the library draws: random rounding, projections */
} plumbline_problem;

/* Memory of one tensor: a parameter, a gradient, a slot of state, a projection. */
typedef struct plumbline_array {
  uint64_t size;
  const char* name;       /* of state: the slot under the dialect's name, "row_var"; else the tensor's */
  void* data;             /* null: absent (a tensor without a gradient in this step) */
  uint64_t bytes;         /* from `data` on that belong to the array */
  const int64_t* shape;   /* `rank` extents */
  const int64_t* strides; /* in elements, `rank` of them; null: row-major without gaps (always so for packed types) */
  uint32_t rank;
  uint32_t tensor; /* index of the problem's tensor that it belongs to */
  plumbline_type type;
  plumbline_place place;
} plumbline_array;

/* One step of all tensors. */
typedef struct plumbline_step {
  uint64_t size;
  int64_t t;                         /* 1, 2, ... */
  const plumbline_array* parameters; /* one a tensor, in the problem's order; updated in place. Addresses and alignment
                                        (to the element) differ from step to step */
  const plumbline_array* gradients;  /* likewise; never written. data == 0: the tensor takes no part in this step */
  uint64_t tensor_count;
  const plumbline_group* groups; /* options that hold from this step on, the others as before; null: no change */
  uint64_t group_count;
  const plumbline_array* projections; /* of dialects whose projection the driver gives, for this step; `tensor` says
                                         whose; null: the library makes its own and shows it among its state */
  uint64_t projection_count;
  uint8_t*
      skipped;  /* one a tensor, 0 on entry; set to 1 where the rule left the tensor as it was (non-finite gradient) */
  void* stream; /* place CUDA: a cudaStream_t on which all work is to be queued */
  plumbline_message* why;
} plumbline_step;

/* Bytes that save() hands out and load() takes back. */
typedef struct plumbline_bytes {
  uint64_t size;
  const void* data; /* host memory */
  uint64_t bytes;
} plumbline_bytes;

/* Optional: an int8 or FP8 linear layer, y = x W^T, beside or instead of an optimizer. Codes and scales that the
   library shows are judged stage by stage; what it does not show, end to end. */
typedef struct plumbline_linear {
  uint64_t size;
  /* Quantizes the weight (outputs, inputs). `bias` may be absent (data == 0). */
  plumbline_status (*start)(const plumbline_option* options, uint64_t option_count, const plumbline_array* weight,
                            const plumbline_array* bias, void* stream, void** layer, plumbline_message* why);
  /* output (tokens, outputs) of input (tokens, inputs) */
  plumbline_status (*forward)(void* layer, const plumbline_array* input, plumbline_array* output, void* stream,
                              plumbline_message* why);
  /* Optional: gradient (tokens, inputs) of the input for that of the output. */
  plumbline_status (*backward)(void* layer, const plumbline_array* output_gradient, plumbline_array* input_gradient,
                               void* stream, plumbline_message* why);
  /* Optional: "weight_code", "weight_scale", "activation_code", "activation_scale", "accumulator" of the last call. */
  plumbline_status (*state)(void* layer, void* stream, const plumbline_array** arrays, uint64_t* count,
                            plumbline_message* why);
  void (*finish)(void* layer);
} plumbline_linear;

/* The table. describe, start, step and finish are required; the others may be null or lie beyond `size`. */
typedef struct plumbline_subject_v1 {
  uint64_t size;     /* sizeof(plumbline_subject_v1) of the header that the library was compiled with */
  uint32_t abi;      /* PLUMBLINE_SUBJECT_ABI */
  uint32_t reserved; /* 0 */
  /* What the library says of itself: a JSON object, "{}" at the least (see VERIFY_YOUR_OWN.md). Needs no GPU. */
  const char* (*describe)(void);
  /* A new optimizer for the problem. `parameters` are the initial values, one array a tensor. Sets *session. */
  plumbline_status (*start)(const plumbline_problem* problem, const plumbline_array* parameters, void* stream,
                            void** session, plumbline_message* why);
  plumbline_status (*step)(void* session, const plumbline_step* step);
  /* Called once for every session that start() made, whatever happened since. */
  void (*finish)(void* session);
  /* Optional: what the optimizer keeps, after start() or a step. A slot that is not shown is judged by what follows. */
  plumbline_status (*state)(void* session, void* stream, const plumbline_array** arrays, uint64_t* count,
                            plumbline_message* why);
  /* Optional: all that is needed to go on from here in another process. load() is called in a new session of the same
     problem, before its first step. */
  plumbline_status (*save)(void* session, void* stream, plumbline_bytes* out, plumbline_message* why);
  plumbline_status (*load)(void* session, void* stream, const plumbline_bytes* from, plumbline_message* why);
  /* Optional: another learning rate for one group from the next step on, where that is a call of its own. */
  plumbline_status (*set_lr)(void* session, uint32_t group, double lr, plumbline_message* why);
  /* Optional: another type for elementwise results from the next step on. */
  plumbline_status (*set_precision)(void* session, plumbline_type type, plumbline_message* why);
  const plumbline_linear* linear; /* optional */
} plumbline_subject_v1;

/* The one symbol. The table lives as long as the library is loaded. */
#if defined(_WIN32)
__declspec(dllexport)
#elif defined(__GNUC__)
__attribute__((visibility("default")))
#endif
    const plumbline_subject_v1* plumbline_subject(void);

#ifdef __cplusplus
}
#endif
#endif
