// Softmax and log-softmax along one axis, and their gradients.
//
//     y = exp(x - max) / sum exp(x - max)        gx = y * (g - sum g*y)
//     y = x - max - log(sum exp(x - max))        gx = g - exp(y) * sum g
//
// x is (outer, length, inner) and the axis in the middle: a row is `length` numbers, `inner` apart.
// One warp a row: its 32 lanes stride along the row and combine what they found by shuffles, in the
// same order every time. Lanes read neighbours where inner is 1; elsewhere it is correct, not fast.
// Bytes: forward reads x three times, twice from cache, and writes y; backward reads g and y twice,
// once from cache, and writes gx.

template <typename A> __device__ A warp_sum(A value) {
    for (int lane = WARP / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(~0u, value, lane);
    return value;
}

template <typename A> __device__ A warp_max(A value) {
    for (int lane = WARP / 2; lane > 0; lane /= 2)
        value = max(value, __shfl_xor_sync(~0u, value, lane));
    return value;
}

// All lanes of a warp have the same threadIdx.y, and so they walk over the same rows.
__device__ inline i64 first_row() { return (i64)blockIdx.x * blockDim.y + threadIdx.y; }
__device__ inline i64 row_step() { return (i64)gridDim.x * blockDim.y; }
__device__ inline i64 row_start(i64 row, i64 length, i64 inner) {
    return row / inner * length * inner + row % inner;
}

template <typename T> __device__ Acc<T> row_max(const T* x, i64 length, i64 inner) {
    Acc<T> top = -infinity();
    for (i64 i = threadIdx.x; i < length; i += WARP) top = max(top, Acc<T>(x[i * inner]));
    return warp_max(top);
}

template <typename T> __device__ Acc<T> row_sum_exp(const T* x, Acc<T> top, i64 length, i64 inner) {
    Acc<T> sum = 0;
    for (i64 i = threadIdx.x; i < length; i += WARP) sum += exp(x[i * inner] - top);
    return warp_sum(sum);
}

template <typename T>
__global__ void softmax(const T* x, T* y, i64 rows, i64 length, i64 inner) {
    for (i64 row = first_row(); row < rows; row += row_step()) {
        i64 start = row_start(row, length, inner);
        Acc<T> top = row_max(x + start, length, inner);
        Acc<T> sum = row_sum_exp(x + start, top, length, inner);
        for (i64 i = threadIdx.x; i < length; i += WARP)
            y[start + i * inner] = exp(x[start + i * inner] - top) / sum;
    }
}

template <typename T>
__global__ void softmax_backward(const T* g, const T* y, T* gx, i64 rows, i64 length, i64 inner) {
    for (i64 row = first_row(); row < rows; row += row_step()) {
        i64 start = row_start(row, length, inner);
        Acc<T> dot = 0;
        for (i64 i = threadIdx.x; i < length; i += WARP)
            dot += Acc<T>(g[start + i * inner]) * Acc<T>(y[start + i * inner]);
        dot = warp_sum(dot);
        for (i64 i = threadIdx.x; i < length; i += WARP)
            gx[start + i * inner] = Acc<T>(y[start + i * inner]) * (g[start + i * inner] - dot);
    }
}

template <typename T>
__global__ void log_softmax(const T* x, T* y, i64 rows, i64 length, i64 inner) {
    for (i64 row = first_row(); row < rows; row += row_step()) {
        i64 start = row_start(row, length, inner);
        Acc<T> top = row_max(x + start, length, inner);
        Acc<T> log_sum = log(row_sum_exp(x + start, top, length, inner));
        for (i64 i = threadIdx.x; i < length; i += WARP)
            y[start + i * inner] = x[start + i * inner] - top - log_sum;
    }
}

template <typename T>
__global__ void log_softmax_backward(
    const T* g, const T* y, T* gx, i64 rows, i64 length, i64 inner) {
    for (i64 row = first_row(); row < rows; row += row_step()) {
        i64 start = row_start(row, length, inner);
        Acc<T> sum = 0;
        for (i64 i = threadIdx.x; i < length; i += WARP) sum += g[start + i * inner];
        sum = warp_sum(sum);
        for (i64 i = threadIdx.x; i < length; i += WARP)
            gx[start + i * inner] = g[start + i * inner] - exp(Acc<T>(y[start + i * inner])) * sum;
    }
}
