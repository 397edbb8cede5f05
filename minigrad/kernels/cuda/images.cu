// A batch out of a data set that lies in device memory as bytes, in one pass:
//
//     pixel = rounded(sum_j down[y][j] * rounded(sum_k across[x][k] * image[first_y+j][first_x+k]))
//     out[n][c][row][column] = (pixel / 255 - mean) / std + light
//
// y = top + row, x = left + column, x counted from the right where the image is mirrored. The
// filter is Pillow's: integer weights in units of 2^-22, and a pixel is rounded to a byte after
// each of the two passes, horizontally first. So the results are the CPU's, to the bit
// (alexnet/transforms/batches.py). A thread computes the few rows that its pixel needs itself: at
// most 3 x 3 bytes where the image becomes larger.
//
// Which images, and how each is placed, stands in `choices`, 4 numbers for each place in the order
// of an epoch: image, whether mirrored, top, left. `position` is where the batch begins. It lies in
// device memory, so that a captured graph goes on from batch to batch.
//
// Bytes: reads C*H*W a chosen image once from memory, the taps again from the cache, and writes
// C*S*S*sizeof(T). The tables of weights, 4*R*(1 + taps) each, and the mean stay in the cache.

const int ONE = 1 << 22, HALF = ONE >> 1;  // weights

struct ImageBatch {
    int C, H, W, R, S;           // R: side of the whole, S: of what is cut out of it
    int taps_y, taps_x;
    int mean_plane, mean_pixel;  // steps through mean: 0 where it is the same
    int std_plane;
};

__device__ inline int to_pixel(int sum) { return (sum + HALF) / ONE; }  // the sum is not negative

template <typename T>
__global__ void image_batch(T* out, i64* targets, const u8* images, const i64* labels,
                            const int* choices, const i64* position, const int* rows,
                            const int* columns, const float* mean, const float* std,
                            const float* light, i64 planes, ImageBatch o) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        i64 n = plane / o.C, place = position[0] + n;
        int c = plane % o.C;
        const int* choice = choices + 4 * place;
        const u8* image = images + ((i64)choice[0] * o.C + c) * o.H * o.W;
        for (int pixel = first_pixel(); pixel < o.S * o.S; pixel += pixel_step()) {
            int y = choice[2] + pixel / o.S, x = choice[3] + pixel % o.S;
            if (choice[1]) x = o.R - 1 - x;
            const int *down = rows + y * (1 + o.taps_y), *across = columns + x * (1 + o.taps_x);
            int sum = 0;
            for (int j = 0; j < o.taps_y; ++j) {
                if (!down[1 + j]) continue;  // beyond the image's edge, too
                const u8* row = image + (i64)(down[0] + j) * o.W + across[0];
                int inner = 0;
                for (int k = 0; k < o.taps_x; ++k)
                    if (across[1 + k]) inner += across[1 + k] * row[k];
                sum += down[1 + j] * to_pixel(inner);
            }
            float value = (float)to_pixel(sum) / 255.0f;
            value -= mean[c * o.mean_plane + (y * o.R + x) * o.mean_pixel];
            value /= std[c * o.std_plane];
            if (light) value += light[place * o.C + c];
            out[plane * o.S * o.S + pixel] = value;
            if (c == 0 && pixel == 0) targets[n] = labels[choice[0]];
        }
    }
}

// The end of a step: the next batch begins `count` images later; the mean loss of this one, times
// count, and its hits are added to what was seen of the epoch. A sum that is not finite once stays
// so: the third counts the steps until then. One thread; position may be null.
template <typename T>
__global__ void count_batch(i64* position, i64 count, double* sums, const T* loss,
                            const i64* hits) {
    if (position) position[0] += count;
    sums[0] += (double)(Acc<T>)loss[0] * count;
    sums[1] += hits[0];
    sums[2] += sums[0] - sums[0] == 0;  // infinity - infinity is NaN, and so is NaN - NaN
}
