/* CUDA kernels of indexing. Errors of check_indices arrive late, so that every kernel passes over indices
 * outside its table. Terms are added in an order that shapes and indices decide, without atomics. */
#include "checks.cuh"
#include "lines.cuh"

struct is_inside {
    int64_t limit;
    REEL_MEMBER bool operator()(int64_t index) const {
        return index >= 0 && index < limit;
    }
};

void reel__cuda_check_indices(reel_context *ctx, const char *op, const reel_tensor *indices, int64_t limit) {
    reel__check(ctx, op, REEL__WRONG_INDEX, indices, limit - 1, is_inside{limit});
}

/* ---- embedding ----------------------------------------------------------------------------------------- */

template <class T> struct look_up_operands {
    const T *table;
    int64_t rows, row_stride, stride; /* of the table */
    const int32_t *indices;
    T *y;
    int64_t count, packs; /* indices; packs of a row of y */
    reel__real_of<T> scale;
};

/* One thread per pack of y. */
template <int WIDTH, class T> REEL_GLOBAL look_up(look_up_operands<T> o) {
    const int64_t pack = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, i = pack / o.packs;
    if (i >= o.count)
        return;
    reel__numbers<T, WIDTH> row = {};
    if (is_inside{o.rows}(o.indices[i]))
        row =
            reel__read_pack<WIDTH>(o.table + o.indices[i] * o.row_stride + pack % o.packs * WIDTH * o.stride);
    for (int k = 0; k < WIDTH; k++)
        row.at[k] *= o.scale;
    reel__write_pack<WIDTH>(o.y + pack * WIDTH, row, 0);
}

template <int WIDTH, class T> static void launch_look_up(const reel_context *ctx, look_up_operands<T> o) {
    o.packs /= WIDTH;
    if (o.count * o.packs > 0)
        REEL_LAUNCH(ctx, (look_up<WIDTH, T>), reel__blocks(o.count * o.packs, REEL_BLOCK), REEL_BLOCK, 0, o);
}

template <class T> static void look_up_in(const reel_context *ctx, const look_up_operands<T> &o) {
    constexpr int wide = reel__wide_pack<T>;
    if (o.stride == 1 && o.row_stride % wide == 0 && o.packs % wide == 0 && reel__aligned({o.table, o.y}))
        launch_look_up<wide>(ctx, o);
    else
        launch_look_up<1>(ctx, o);
}

void reel__cuda_embedding(const reel_context *ctx, const reel_tensor *table, const reel_tensor *indices,
                          double scale, reel_tensor *y) {
    REEL_BY_FLOAT(table->dtype, T,
                  look_up_in<T>(ctx, {reel__at<T>(table), table->shape[0], table->stride[0], table->stride[1],
                                      reel__at<int32_t>(indices), reel__at<T>(y), reel_elements(indices),
                                      table->shape[1], (reel__real_of<T>)scale}))
}

/* ---- its gradient --------------------------------------------------------------------------------------
 *
 * A block owns a row of the table: it looks through the indices for that row and adds what belongs to it.
 * Where rows are fewer than indices there is a block for every row, and the indices are cut into chunks
 * with a partial table each, until there are blocks enough; the chunks are then summed. Otherwise there is a
 * block for every index, and the first of those that name a row owns it. */

enum {
    LOOKS = 8,         /* indices that a thread looks at in one go */
    MOST_OWNERS = 256, /* threads of a block */
    ADDERS = 1024,     /* blocks that keep the largest GPU busy */
};

template <class T> struct add_operands {
    const int32_t *indices;
    const T *dy;              /* (count, width) */
    reel__real_of<T> *dtable; /* (chunks, rows, width) */
    int64_t count, rows, width;
    int64_t chunk; /* indices of a chunk: blockIdx.y */
    int64_t packs; /* of a row */
    reel__real_of<T> scale;
    bool by_index; /* a block per index */
};

/* Which of the block's next LOOKS * blockDim.x indices from `begin` on name the row: their number, and their
 * positions, ascending, in `found`. `counts` has room for one number per warp and look. */
REEL_DEVICE int find_row(const int32_t *indices, int64_t begin, int64_t end, int64_t row, int32_t *found,
                         int *counts) {
    const int warps = (int)blockDim.x / REEL_WARP, warp = (int)threadIdx.x / REEL_WARP;
    const int lane = (int)threadIdx.x % REEL_WARP;
    uint32_t votes[LOOKS];
    for (int look = 0; look < LOOKS; look++) {
        const int64_t i = begin + look * (int64_t)blockDim.x + threadIdx.x;
        votes[look] = reel__ballot(i < end && indices[i] == row);
        if (lane == 0)
            counts[look * warps + warp] = reel__bits(votes[look]);
    }
    reel__barrier();
    int before = 0;
    for (int look = 0; look < LOOKS; look++)
        for (int w = 0; w < warps; w++) {
            if (w == warp && (votes[look] >> lane & 1u))
                found[before + reel__bits(votes[look] & ((1u << lane) - 1))] =
                    (int32_t)(look * (int)blockDim.x + (int)threadIdx.x);
            before += counts[look * warps + w];
        }
    reel__barrier();
    return before;
}

/* One block per owner and chunk; thread t adds packs t, t + blockDim.x, ... of the rows of dy. */
template <int WIDTH, class T> REEL_GLOBAL __launch_bounds__(MOST_OWNERS) add_rows(add_operands<T> o) {
    using real = reel__real_of<T>;
    REEL_SHARED(int32_t, found);
    const int at_once = LOOKS * (int)blockDim.x;
    int *const counts = found + at_once;
    const int64_t row = o.by_index ? o.indices[blockIdx.x] : blockIdx.x;
    const int64_t first = o.chunk * blockIdx.y, last = first + o.chunk;
    const int64_t end = !is_inside{o.rows}(row) ? first : last < o.count ? last : o.count;
    real *const dtable = o.dtable + (blockIdx.y * o.rows + row) * o.width;
    bool owns = !o.by_index;
    for (int64_t begin = first; begin < end; begin += at_once) {
        const int n = find_row(o.indices, begin, end, row, found, counts);
        if (n == 0)
            continue;
        if (!owns && begin + found[0] != blockIdx.x)
            break; /* an earlier block does */
        owns = true;
        for (int64_t pack = threadIdx.x; pack < o.packs; pack += blockDim.x) {
            real sums[WIDTH];
            for (int k = 0; k < WIDTH; k++)
                sums[k] = dtable[pack * WIDTH + k];
            for (int j = 0; j < n; j++) {
                const reel__numbers<T, WIDTH> term =
                    reel__read_pack<WIDTH>(o.dy + (begin + found[j]) * o.width + pack * WIDTH);
                for (int k = 0; k < WIDTH; k++)
                    sums[k] += o.scale * term.at[k];
            }
            for (int k = 0; k < WIDTH; k++)
                dtable[pack * WIDTH + k] = sums[k];
        }
        reel__barrier(); /* before `found` is written again */
    }
}

template <int WIDTH, class T>
static void launch_add_rows(const reel_context *ctx, add_operands<T> o, int64_t chunks) {
    o.packs = o.width / WIDTH;
    unsigned threads = REEL_WARP;
    while (threads < MOST_OWNERS && threads < o.packs)
        threads *= 2;
    const dim3 blocks((unsigned)(o.by_index ? o.count : o.rows), (unsigned)chunks);
    const size_t shared = LOOKS * (threads + threads / REEL_WARP) * sizeof(int32_t);
    REEL_LAUNCH(ctx, (add_rows<WIDTH, T>), blocks, threads, shared, o);
}

template <class T>
static void add_rows_of(const reel_context *ctx, const add_operands<T> &o, int64_t chunks) {
    constexpr int wide = reel__wide_pack<T>;
    if (o.width % wide == 0 && reel__aligned({o.dy}))
        launch_add_rows<wide>(ctx, o, chunks);
    else
        launch_add_rows<1>(ctx, o, chunks);
}

/* Into how many chunks the indices are cut. */
static int64_t chunks_for(int64_t count, int64_t rows) {
    enum { LEAST = 1024 }; /* indices that pay for a partial table */
    const int64_t wanted = ADDERS / rows, most = count / LEAST;
    return wanted < 1 || most < 1 ? 1 : wanted < most ? wanted : most;
}

void reel__cuda_embedding_backward(reel_context *ctx, const reel_tensor *indices, double scale,
                                   const reel_tensor *dy, reel_tensor *dtable) {
    const int64_t count = reel_elements(indices), rows = dtable->shape[0], width = dtable->shape[1];
    if (count * rows * width == 0)
        return;
    const int64_t chunks = chunks_for(count, rows), chunk = (count + chunks - 1) / chunks;
    reel_tensor sums = *dtable; /* (chunks, rows, width), where there are several */
    reel__storage *scratch = nullptr;
    if (chunks > 1) {
        const size_t bytes = (size_t)(chunks * rows * width) * reel_dtype_bytes(dtable->dtype);
        scratch = reel__storage_new(ctx, bytes);
        if (!scratch) {
            reel__no_memory(ctx, nullptr, bytes, "partial sums");
            return;
        }
        reel__storage_zero(ctx, scratch, bytes);
        sums.rank = 3;
        sums.shape[0] = chunks, sums.shape[1] = rows, sums.shape[2] = width;
        reel__contiguous_strides(sums.rank, sums.shape, sums.stride);
        sums.data = scratch->data;
    }
    REEL_BY_FLOAT(dy->dtype, T, using real = reel__real_of<T>;
                  add_rows_of<T>(ctx,
                                 {reel__at<int32_t>(indices), reel__at<T>(dy), reel__at<real>(&sums), count,
                                  rows, width, chunk, 0, (real)scale, rows > count},
                                 chunks))
    if (scratch) {
        reel__cuda_sum(ctx, &sums, 1, dtable, 1);
        reel__storage_release(ctx, scratch);
    }
}

/* ---- gather -------------------------------------------------------------------------------------------- */

/* One thread per element. Operands: y, x standing still along the axis, indices. */
template <class T> REEL_GLOBAL gather_elements(reel__walk<3> w, int64_t limit, int64_t stride) {
    const int64_t element = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= w.count)
        return;
    int64_t at[3];
    reel__offsets(w, element, at);
    const int64_t index = static_cast<const int32_t *>(w.data[2])[at[2]];
    const T nothing = {};
    static_cast<T *>(w.data[0])[at[0]] =
        is_inside{limit}(index) ? static_cast<const T *>(w.data[1])[at[1] + index * stride] : nothing;
}

void reel__cuda_gather(const reel_context *ctx, const reel_tensor *x, int axis, const reel_tensor *indices,
                       reel_tensor *y) {
    reel_tensor lines_of_x = *x;
    lines_of_x.stride[axis] = 0;
    const reel_tensor *const operands[] = {y, &lines_of_x, indices};
    const reel__walk<3> w = reel__walk_of<3>(operands);
    if (w.count > 0)
        REEL_BY_DTYPE(x->dtype, T,
                      REEL_LAUNCH(ctx, (gather_elements<T>), reel__blocks(w.count, REEL_BLOCK), REEL_BLOCK, 0,
                                  w, x->shape[axis], x->stride[axis]))
}

/* ---- scatter_add --------------------------------------------------------------------------------------- */

/* Lines along the axis: where line l of the indices begins in each operand is element l of the walk, over
 * operands that have the axis of size 1. */
template <class T> struct scatter_operands {
    reel__walk<3> lines; /* indices, source, y */
    int64_t length, limit;
    int64_t index_stride, source_stride, stride; /* along the axis */
};

template <class T> struct scatter_line {
    const int32_t *index;
    const T *source;
    reel__real_of<T> *y;
};

template <class T> REEL_DEVICE scatter_line<T> line_at(const scatter_operands<T> &o, int64_t number) {
    int64_t at[3];
    reel__offsets(o.lines, number, at);
    return {static_cast<const int32_t *>(o.lines.data[0]) + at[0],
            static_cast<const T *>(o.lines.data[1]) + at[1],
            static_cast<reel__real_of<T> *>(o.lines.data[2]) + at[2]};
}

/* One thread per line, which adds its elements one after another. */
template <class T> REEL_GLOBAL scatter_by_threads(scatter_operands<T> o) {
    const int64_t number = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= o.lines.count)
        return;
    const scatter_line<T> line = line_at(o, number);
    for (int64_t i = 0; i < o.length; i++) {
        const int64_t index = line.index[i * o.index_stride];
        if (is_inside{o.limit}(index))
            line.y[index * o.stride] += reel__load(line.source[i * o.source_stride]);
    }
}

/* One warp per line; lane l takes elements l, l + 32, ... Of the lanes whose elements go to one place the
 * first adds them all, in the order of the lanes. */
template <class T> REEL_GLOBAL scatter_by_warps(scatter_operands<T> o) {
    using real = reel__real_of<T>;
    const int64_t number = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / REEL_WARP;
    const int lane = (int)threadIdx.x % REEL_WARP;
    const bool exists = number < o.lines.count;
    const scatter_line<T> line = line_at(o, exists ? number : 0);
    for (int64_t begin = 0; begin < o.length; begin += REEL_WARP) {
        const int64_t i = begin + lane;
        int32_t index = -1;
        real term = 0;
        if (exists && i < o.length) {
            index = line.index[i * o.index_stride];
            term = reel__load(line.source[i * o.source_stride]);
        }
        const bool inside = is_inside{o.limit}(index);
        real sum = inside ? line.y[index * o.stride] : 0;
        bool first = inside;
        for (int other = 0; other < REEL_WARP; other++) {
            const bool same = reel__shuffle(index, other) == index;
            const real others_term = reel__shuffle(term, other);
            first = first && !(same && other < lane);
            sum += same ? others_term : 0;
        }
        reel__warp_barrier(); /* all have read */
        if (first)
            line.y[index * o.stride] = sum;
        reel__warp_barrier(); /* before the next lane reads it */
    }
}

template <class T> static void scatter(const reel_context *ctx, const scatter_operands<T> &o) {
    if (o.lines.count * o.length == 0)
        return;
    if (o.index_stride == 1 && o.length >= REEL_WARP)
        REEL_LAUNCH(ctx, (scatter_by_warps<T>), reel__blocks(o.lines.count * REEL_WARP, REEL_BLOCK),
                    REEL_BLOCK, 0, o);
    else
        REEL_LAUNCH(ctx, (scatter_by_threads<T>), reel__blocks(o.lines.count, REEL_BLOCK), REEL_BLOCK, 0, o);
}

void reel__cuda_scatter_add(const reel_context *ctx, int axis, const reel_tensor *indices,
                            const reel_tensor *source, reel_tensor *y) {
    reel_tensor lines[] = {*indices, *source, *y};
    for (reel_tensor &each : lines)
        each.shape[axis] = 1;
    const reel_tensor *const operands[] = {&lines[0], &lines[1], &lines[2]};
    const reel__walk<3> walk = reel__walk_of<3>(operands);
    REEL_BY_FLOAT(source->dtype, T,
                  scatter<T>(ctx, {walk, indices->shape[axis], y->shape[axis], indices->stride[axis],
                                   source->stride[axis], y->stride[axis]}))
}
