/* What the attention kernels share: where the tensors lie, who sees whom, and the running softmax. */
#ifndef REEL_ATTENTION_CUH
#define REEL_ATTENTION_CUH

#include "kernels.cuh"

/* A tensor (B, H, T, d) or (B, H, Tq, Tk) by its strides in elements. */
template <class T> struct attention_heads {
    T *data;
    int64_t example, head, row, column;
    int packed; /* whether packs of 8 can be read at every multiple of 8 in a row */

    REEL_MEMBER T *of(int64_t b, int64_t h) const {
        return data + b * example + h * head;
    }
};

/* B examples, H heads, Tq queries, Tk keys, d the head size. log_sum and delta are (B, H, Tq) row-major. */
template <class T> struct attention_job {
    using real = reel__real_of<T>;
    int64_t B, H, Tq, Tk, d;
    int causal;
    real scale;
    attention_heads<T> q, k, v, mask, y, dy, dq, dk, dv; /* data NULL: absent, or not asked for */
    real *log_sum;
    real *delta; /* rowsum(dy * y) */

    /* Keys that query i sees: 0 .. keys_of(i) - 1. */
    REEL_MEMBER int64_t keys_of(int64_t i) const {
        const int64_t keys = causal ? i + 1 + Tk - Tq : Tk;
        return keys < 0 ? 0 : keys < Tk ? keys : Tk;
    }
    /* The first query that sees key j. */
    REEL_MEMBER int64_t first_query_of(int64_t j) const {
        const int64_t query = causal ? j - (Tk - Tq) : 0;
        return query < 0 ? 0 : query;
    }
};

/* Who owns rows in a backward pass, and walks over those of the other side. */
enum attention_side { QUERIES, KEYS };

/* Head sizes that the tensor cores' kernels have room for. */
enum { REEL__ATTENTION_LARGEST_D = 256 };
void reel__attention_bf16(reel_context *ctx, const attention_job<reel_bf16> &job);
/* delta is there already */
void reel__attention_backward_bf16(reel_context *ctx, const attention_job<reel_bf16> &job);

#endif
