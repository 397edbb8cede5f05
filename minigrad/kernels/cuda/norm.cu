// Batch normalisation (Ioffe and Szegedy 2015) of x (N, C, pixels): M = N*pixels numbers a channel.
//
//     mean = sum x / M        var = sum (x - mean)^2 / M        xhat = (x - mean) * invstd
//     y    = w * xhat + b     gb = sum g                        gw = sum g * xhat
//     gx   = w * invstd * (g - gb/M - xhat * gw/M)   through the batch's own statistics
//     gx   = w * invstd * g                          where mean and invstd are constants
//
// Statistics, w and b are Acc<T>: float32 where T has 16 bits. The sums are made in parts, as in
// sums.cu. Of the statistics, a part has its mean and its squares around that; two parts a and b
// make one (Chan, Golub and LeVeque 1979):
//
//     squares = squares_a + squares_b + (mean_b - mean_a)^2 * M_a * M_b / (M_a + M_b)
//
// So that one reading of x will do, a part takes its distances from its first number p:
// sum (x - mean)^2 = sum (x - p)^2 - (sum (x - p))^2 / M. The difference is harmless, for p is as
// far from the mean as any x.
// Bytes: statistics read x; forward reads x, writes y; backward reads g and x for the sums, reads
// both again and writes gx.

// sums is (parts, 2, C): means, and squares around them.
template <typename T>
__global__ void batch_norm_parts(
    const T* x, Acc<T>* sums, i64 N, i64 C, i64 pixels, i64 parts) {
    for (i64 c = blockIdx.x; c < C; c += gridDim.x) {
        for (i64 part = blockIdx.y; part < parts; part += gridDim.y) {
            Acc<T> pivot = x[(part * blockDim.y * C + c) * pixels], sum = 0, squares = 0, count = 0;
            for (i64 n = first_image(part); n < N; n += image_step(parts)) {
                i64 plane = (n * C + c) * pixels;
                for (i64 i = plane + threadIdx.x; i < plane + pixels; i += blockDim.x) {
                    Acc<T> distance = x[i] - pivot;
                    sum += distance;
                    squares += distance * distance;
                    count += 1;
                }
            }
            sum = block_sum(sum);
            squares = block_sum(squares);
            count = block_sum(count);
            if (threadIdx.x == 0 && threadIdx.y == 0) {
                sums[part * 2 * C + c] = pivot + sum / count;
                squares -= sum * (sum / count);
                sums[(part * 2 + 1) * C + c] = squares < 0 ? Acc<T>(0) : squares;  // NaN stays
            }
        }
    }
}

// rows: images that a part takes at a time, which is the height of its block.
template <typename T>
__global__ void batch_norm_stats(
    const Acc<T>* sums, Acc<T>* mean, Acc<T>* var, i64 N, i64 C, i64 pixels, i64 parts, i64 rows) {
    for (i64 c = first_element(); c < C; c += element_step()) {
        Acc<T> center = 0, squares = 0, count = 0;
        for (i64 part = 0; part < parts; ++part) {
            i64 rounds = N / (parts * rows), rest = N - (rounds * parts + part) * rows;
            Acc<T> more = (rounds * rows + min(max(rest, 0ll), rows)) * pixels;
            Acc<T> distance = sums[part * 2 * C + c] - center;
            Acc<T> share = more / (count + more);
            squares += sums[(part * 2 + 1) * C + c] + distance * distance * count * share;
            center += distance * share;
            count += more;
        }
        mean[c] = center;
        var[c] = squares / count;
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

// sums is (parts, 2, C): sums of g * xhat, and of g.
template <typename T>
__global__ void batch_norm_backward_parts(
    const T* g, const T* x, const Acc<T>* mean, const Acc<T>* invstd, Acc<T>* sums,
    i64 N, i64 C, i64 pixels, i64 parts) {
    for (i64 c = blockIdx.x; c < C; c += gridDim.x) {
        Acc<T> center = mean[c], scale = invstd[c];
        for (i64 part = blockIdx.y; part < parts; part += gridDim.y) {
            Acc<T> sum = 0, product = 0;
            for (i64 n = first_image(part); n < N; n += image_step(parts)) {
                i64 plane = (n * C + c) * pixels;
                for (i64 i = plane + threadIdx.x; i < plane + pixels; i += blockDim.x) {
                    sum += g[i];
                    product += Acc<T>(g[i]) * ((x[i] - center) * scale);
                }
            }
            sum = block_sum(sum);
            product = block_sum(product);
            if (threadIdx.x == 0 && threadIdx.y == 0) {
                sums[part * 2 * C + c] = product;
                sums[(part * 2 + 1) * C + c] = sum;
            }
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
