// Softmax and cross-entropy (minus the log-likelihood) of N rows of C scores, with the gradient and
// the number of rows whose highest score is the target's, in one pass.
//
//     l[n] = log(sum exp(x[n])) - x[n, t[n]]         loss = sum l, or that / count of the kept
//     unit[n] = softmax(x[n]) - onehot(t[n])         gx = unit * g, or that / count of the kept
//
// Rows whose target is `ignored` count nowhere: l = 0 and unit = 0. A target that is no class makes
// its loss NaN. One warp a row; the maximum and the sum are found together: where a larger number
// turns up, the sum so far is multiplied by exp(old maximum - new one).
// Bytes: x is read once from memory, and once more from cache to write unit; `cross_entropy_sums`
// reads 3 numbers a row, in one block and a fixed order; the backward reads unit and writes gx.

// The maximum of some scores, the first place where it is, and the sum of exp(score - maximum).
template <typename A> struct Scores {
    A top, sum;
    int where;

    __device__ void add(const Scores& other) {
        if (other.top > top || (other.top == top && other.where < where)) {
            sum = other.sum + sum * (top == other.top ? A(1) : exp(top - other.top));
            top = other.top;
            where = other.where;
        } else {
            sum += other.sum * (top == other.top ? A(1) : exp(other.top - top));
        }
    }
};

// rows is (3, N): the loss, whether the row is kept, whether it is a hit. unit may be null.
template <typename T>
__global__ void cross_entropy(
    const T* x, const i64* target, T* unit, Acc<T>* rows, i64 N, i64 C, i64 ignored) {
    typedef Acc<T> A;
    for (i64 row = first_row(); row < N; row += row_step()) {
        const T* in = x + row * C;
        Scores<A> all = {-infinity(), 0, (int)C};
        for (i64 i = threadIdx.x; i < C; i += WARP) all.add({A(in[i]), 1, (int)i});
        for (int lane = WARP / 2; lane > 0; lane /= 2) {
            A top = __shfl_xor_sync(~0u, all.top, lane), sum = __shfl_xor_sync(~0u, all.sum, lane);
            all.add({top, sum, __shfl_xor_sync(~0u, all.where, lane)});
        }
        i64 wanted = target[row];
        bool kept = wanted != ignored, exists = wanted >= 0 && wanted < C;
        if (threadIdx.x == 0) {
            A score = exists ? A(in[wanted]) : A(infinity() - infinity());
            rows[row] = kept ? all.top - score + log(all.sum) : A(0);
            rows[N + row] = kept;
            rows[2 * N + row] = kept && all.where == wanted;
        }
        if (!unit) continue;
        for (i64 i = threadIdx.x; i < C; i += WARP)
            unit[row * C + i] = kept ? exp(in[i] - all.top) / all.sum - A(i == wanted) : A(0);
    }
}

// One block. `mean`: whether to divide; count is then what the backward divides by, else 1.
template <typename T>
__global__ void cross_entropy_sums(
    const Acc<T>* rows, T* loss, Acc<T>* count, i64* hits, i64 N, i64 mean) {
    Acc<T> loss_sum = 0;
    i64 kept = 0, hit = 0;  // a float stops counting at 2^24
    for (i64 row = threadIdx.x; row < N; row += THREADS) {
        loss_sum += rows[row];
        kept += rows[N + row] != 0;
        hit += rows[2 * N + row] != 0;
    }
    loss_sum = block_sum(loss_sum);
    kept = block_sum(kept);
    hit = block_sum(hit);
    if (threadIdx.x == 0) {
        *count = mean ? Acc<T>(kept) : Acc<T>(1);
        *loss = loss_sum / *count;
        *hits = hit;
    }
}

template <typename T>
__global__ void cross_entropy_backward(
    const T* unit, const T* g, const Acc<T>* count, T* gx, i64 size) {
    Acc<T> factor = *count == 0 ? Acc<T>(0) : Acc<T>(*g) / *count;
    for (i64 i = first_element(); i < size; i += element_step()) gx[i] = unit[i] * factor;
}
