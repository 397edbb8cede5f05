// Batch normalisation (Ioffe and Szegedy 2015) of x (N, C, pixels), M = N * pixels numbers a
// channel, and the plain sum over a channel.
//
//     mean = sum x / M        var = sum (x - mean)^2 / M        xhat = (x - mean) * invstd
//     y    = w * xhat + b     gb = sum g                        gw = sum g * xhat
//     gx   = w * invstd * (g - gb/M - xhat * gw/M)   through the batch's own statistics
//     gx   = w * invstd * g                          where mean and invstd are constants
//
// Statistics, w and b are Acc<T>, so float32 for Half. The sums are one block a channel: its threads walk
// over the images and pixels, then add up their parts pairwise, always in the same order.
// Bytes: statistics read x twice (once for the mean, once for the squares around it); forward reads
// x, writes y; backward reads g and x for the sums, reads both again and writes gx.

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

// y[c] = sum of x over images and pixels: also the gradient of every bias.
template <typename T>
__global__ void sum_over_channels(const T* x, T* y, i64 N, i64 C, i64 pixels) {
    for (i64 c = blockIdx.x; c < C; c += gridDim.x) {
        Acc<T> sum = 0;
        for (i64 n = threadIdx.y; n < N; n += blockDim.y)
            for (i64 i = threadIdx.x; i < pixels; i += blockDim.x)
                sum += x[(n * C + c) * pixels + i];
        sum = block_sum(sum);
        if (threadIdx.x == 0 && threadIdx.y == 0) y[c] = sum;
    }
}

template <typename T>
__global__ void batch_norm_stats(
    const T* x, Acc<T>* mean, Acc<T>* var, i64 N, i64 C, i64 pixels) {
    Acc<T> count = N * pixels;
    for (i64 c = blockIdx.x; c < C; c += gridDim.x) {
        Acc<T> sum = 0, squares = 0;
        for (i64 n = threadIdx.y; n < N; n += blockDim.y)
            for (i64 i = threadIdx.x; i < pixels; i += blockDim.x)
                sum += x[(n * C + c) * pixels + i];
        Acc<T> center = block_sum(sum) / count;
        for (i64 n = threadIdx.y; n < N; n += blockDim.y) {
            for (i64 i = threadIdx.x; i < pixels; i += blockDim.x) {
                Acc<T> distance = x[(n * C + c) * pixels + i] - center;
                squares += distance * distance;
            }
        }
        Acc<T> spread = block_sum(squares) / count;
        if (threadIdx.x == 0 && threadIdx.y == 0) {
            mean[c] = center;
            var[c] = spread;
        }
    }
}

template <typename T>
__global__ void batch_norm(
    const T* x, const Acc<T>* mean, const Acc<T>* invstd, const Acc<T>* w, const Acc<T>* b, T* y,
    i64 C, i64 planes, i64 pixels) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        i64 c = plane % C;
        Acc<T> scale = w ? invstd[c] * w[c] : invstd[c];
        Acc<T> center = mean[c], shift = b ? b[c] : 0;
        for (int pixel = first_pixel(); pixel < pixels; pixel += pixel_step()) {
            i64 i = plane * pixels + pixel;
            y[i] = (x[i] - center) * scale + shift;
        }
    }
}

template <typename T>
__global__ void batch_norm_backward_sums(
    const T* g, const T* x, const Acc<T>* mean, const Acc<T>* invstd, Acc<T>* gw, Acc<T>* gb,
    i64 N, i64 C, i64 pixels) {
    for (i64 c = blockIdx.x; c < C; c += gridDim.x) {
        Acc<T> sum = 0, product = 0, center = mean[c], scale = invstd[c];
        for (i64 n = threadIdx.y; n < N; n += blockDim.y) {
            for (i64 pixel = threadIdx.x; pixel < pixels; pixel += blockDim.x) {
                i64 i = (n * C + c) * pixels + pixel;
                sum += g[i];
                product += Acc<T>(g[i]) * ((x[i] - center) * scale);
            }
        }
        sum = block_sum(sum);
        product = block_sum(product);
        if (threadIdx.x == 0 && threadIdx.y == 0) {
            gb[c] = sum;
            gw[c] = product;
        }
    }
}

template <typename T>
__global__ void batch_norm_backward(
    const T* g, const T* x, const Acc<T>* mean, const Acc<T>* invstd, const Acc<T>* w,
    const Acc<T>* gw, const Acc<T>* gb, T* gx, i64 C, i64 planes, i64 pixels, double per_count) {
    Acc<T> share = per_count;  // 1/M, or 0 where the statistics are constants
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        i64 c = plane % C;
        Acc<T> scale = invstd[c], center = mean[c], factor = w ? scale * w[c] : scale;
        Acc<T> offset = gb[c] * share, slope = gw[c] * share * scale;
        for (int pixel = first_pixel(); pixel < pixels; pixel += pixel_step()) {
            i64 i = plane * pixels + pixel;
            gx[i] = (g[i] - offset - (x[i] - center) * slope) * factor;
        }
    }
}
