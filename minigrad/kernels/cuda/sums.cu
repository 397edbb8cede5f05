// Sums over all but the channels, the gradient of every bias: of convolutions (N, C, pixels) and of
// linear layers (N, C).
//
//     y[c] = sum over n and pixels of x[n, c, pixel]
//
// There are more blocks than channels, or most of a GPU would wait for a few: the images are dealt
// out to `parts` blocks a channel, each of which adds up its own, threads first and then pairwise;
// `sum_of_parts` adds those. The order depends on nothing but the shape. How many parts there are,
// sums.py says. With a code, a number whose code is DEAD counts as 0 (relu_pool.cu). With y, what a
// ReLU gave, x is its g: gx = g, but 0 where y is 0, is written on the way, and summed.
// Bytes: reads x once (and code, or y), writes and reads `parts` numbers a channel (and writes gx).

const u8 DEAD = 255;

// The sum of one value a thread, given to all threads of the block.
template <typename A> __device__ A block_sum(A value) {
    __shared__ A part[THREADS];
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    part[thread] = value;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) part[thread] += part[thread + half];
    }
    __syncthreads();
    A sum = part[0];
    __syncthreads();  // nobody writes `part` again before everybody has read the sum
    return sum;
}

// A thread's images of a part, in a block that is one warp or less wide: of their rows every
// parts'th.
//     for (i64 n = first_image(part); n < N; n += image_step(parts))
__device__ inline i64 first_image(i64 part) { return part * blockDim.y + threadIdx.y; }
__device__ inline i64 image_step(i64 parts) { return parts * blockDim.y; }

template <typename T>
__global__ void channel_parts(
    const T* x, const u8* code, const T* y, T* gx, Acc<T>* sums,
    i64 N, i64 C, i64 pixels, i64 parts) {
    for (i64 c = blockIdx.x; c < C; c += gridDim.x) {
        for (i64 part = blockIdx.y; part < parts; part += gridDim.y) {
            Acc<T> sum = 0;
            for (i64 n = first_image(part); n < N; n += image_step(parts)) {
                i64 plane = (n * C + c) * pixels;
                for (i64 i = plane + threadIdx.x; i < plane + pixels; i += blockDim.x) {
                    if (code && code[i] == DEAD) continue;
                    Acc<T> value = !y || y[i] != 0 ? Acc<T>(x[i]) : Acc<T>(0);
                    if (gx) gx[i] = value;
                    sum += value;
                }
            }
            sum = block_sum(sum);
            if (threadIdx.x == 0 && threadIdx.y == 0) sums[part * C + c] = sum;
        }
    }
}

// The same for x (N, C): a warp takes 32 columns, so that neighbours read neighbours.
template <typename T>
__global__ void column_parts(
    const T* x, const T* y, T* gx, Acc<T>* sums, i64 N, i64 C, i64 parts) {
    const int ROWS = THREADS / WARP;
    __shared__ Acc<T> rows[ROWS][WARP];
    for (i64 first = (i64)blockIdx.x * WARP; first < C; first += (i64)gridDim.x * WARP) {
        i64 c = first + threadIdx.x;
        for (i64 part = blockIdx.y; part < parts; part += gridDim.y) {
            Acc<T> sum = 0;
            for (i64 n = first_image(part); c < C && n < N; n += image_step(parts)) {
                i64 i = n * C + c;
                Acc<T> value = !y || y[i] != 0 ? Acc<T>(x[i]) : Acc<T>(0);
                if (gx) gx[i] = value;
                sum += value;
            }
            rows[threadIdx.y][threadIdx.x] = sum;
            __syncthreads();
            if (threadIdx.y == 0 && c < C) {
                for (int row = 1; row < ROWS; ++row) sum += rows[row][threadIdx.x];
                sums[part * C + c] = sum;
            }
            __syncthreads();
        }
    }
}

// y[i] = sum of parts[.][i], or y[i] += that; a thread an element, part after part.
template <typename T>
__global__ void sum_of_parts(const Acc<T>* sums, T* y, i64 parts, i64 size, i64 accumulate) {
    for (i64 i = first_element(); i < size; i += element_step()) {
        Acc<T> sum = 0;
        for (i64 part = 0; part < parts; ++part) sum += sums[part * size + i];
        y[i] = accumulate ? y[i] + sum : sum;
    }
}
