/* Includes the file REEL_EACH_FLOAT once for each float dtype, with these names defined:
 *
 *   STORED   the type in memory            double  float  reel_bf16
 *   REAL     the type of the arithmetic    double  float  float
 *   NAME(f)  f_f64, f_f32, f_bf16
 *   LOAD(p)  *p as REAL;  STORE(p, v)  *p = v rounded
 *   MATH(f)  reel__f_f64 or reel__f_f32, from scalar_math.h
 *   LOAD_VECTOR(p, n), STORE_VECTOR(p, v, n)   up to LANES elements, from vector.h; f64 has none
 *   EXP_EACH(n, v), GATE_EACH(n, v)   e^v and 1 / (1 + e^-v) of n vectors, as exact as STORED needs it
 *
 * So a loop is written once, in a file that reads without backslashes. Such a file has two halves: the frame,
 * seen when REAL is not defined, and the template, seen when it is. No include guard: it is included again.
 */
#include "bf16.h"
#include "scalar_math.h"
#include "vector.h"

#define REEL__PASTE(a, b) a##b

#define STORED      double
#define REAL        double
#define NAME(f)     REEL__PASTE(f, _f64)
#define MATH(f)     reel__##f##_f64
#define LOAD(p)     (*(p))
#define STORE(p, v) (*(p) = (v))
#include REEL_EACH_FLOAT
#undef STORED
#undef REAL
#undef NAME
#undef MATH
#undef LOAD
#undef STORE

#define STORED       float
#define REAL         float
#define NAME(f)      REEL__PASTE(f, _f32)
#define MATH(f)      reel__##f##_f32
#define LOAD(p)      (*(p))
#define STORE(p, v)  (*(p) = (v))
#define LOAD_VECTOR  reel__v_load_f32
#define STORE_VECTOR reel__v_store_f32
#define EXP_EACH     reel__v_exp_each
#define GATE_EACH    reel__v_gate_each
#include REEL_EACH_FLOAT
#undef LOAD_VECTOR
#undef STORE_VECTOR
#undef EXP_EACH
#undef GATE_EACH
#undef STORED
#undef NAME
#undef LOAD
#undef STORE

#define STORED       reel_bf16
#define NAME(f)      REEL__PASTE(f, _bf16)
#define LOAD(p)      reel__from_bf16(*(p))
#define STORE(p, v)  (*(p) = reel__to_bf16(v))
#define LOAD_VECTOR  reel__v_load_bf16
#define STORE_VECTOR reel__v_store_bf16
#define EXP_EACH     reel__v_exp_of_bf16_each
#define GATE_EACH    reel__v_gate_of_bf16_each
#include REEL_EACH_FLOAT
#undef LOAD_VECTOR
#undef STORE_VECTOR
#undef EXP_EACH
#undef GATE_EACH
#undef STORED
#undef REAL
#undef NAME
#undef MATH
#undef LOAD
#undef STORE
#undef REEL_EACH_FLOAT

/* Picks the instance of a function for a dtype: BY_DTYPE(x->dtype, silu_run) is a function pointer. */
#define BY_DTYPE(dtype, f) ((dtype) == REEL_F64 ? f##_f64 : (dtype) == REEL_F32 ? f##_f32 : f##_bf16)
