// Channels innermost and back, for flat_shift.py: a pixel's channels side by side.
//
//     to_pixels:   flat[g][(h*N + n)*RW + j][c] = x[n, g*C/G + c, h - top, j - left], or 0
//     from_pixels: y[n, g*C/G + c, h, j] = flat[g][(h*N + n)*RW + j][c] + b[g*C/G + c], j < W
//
// for c < C/G = per_group; whatever lies beside x, above it, below it and behind the last row is 0.
// Bytes: each reads what it turns around once and writes it once. A block turns a tile of 32 pixels
// by 32 channels in shared memory, so that it reads and writes in runs of 32 (33 columns: the lanes
// of a warp then meet 32 different banks). Sums arrive as Acc<T> and are rounded to T here.

struct Pixels {
    int C, H, W, top, left, N, RW;
};

const int TILE = WARP;
const int TILE_ROWS = THREADS / TILE;  // of a tile, that a block handles at a time

struct Pixel {  // where a flat pixel lies in the images
    i64 offset;
    bool inside;
};

__device__ inline Pixel pixel_of(i64 flat, const Pixels& s) {  // its channel 0
    i64 row = flat / s.RW;
    i64 h = row / s.N - s.top, w = flat % s.RW - s.left;
    bool inside = h >= 0 && h < s.H && w >= 0 && w < s.W;
    return {((row % s.N * s.C) * s.H + h) * s.W + w, inside};
}

template <typename T>
__global__ void to_pixels(const T* x, T* flat, Pixels s, i64 pixels, i64 per_group) {
    __shared__ T tile[TILE][TILE + 1];
    int x0 = threadIdx.x, y0 = threadIdx.y;
    for (i64 c0 = (i64)blockIdx.y * TILE; c0 < s.C; c0 += (i64)gridDim.y * TILE) {
        for (i64 p0 = (i64)blockIdx.x * TILE; p0 < pixels; p0 += (i64)gridDim.x * TILE) {
            Pixel pixel = pixel_of(p0 + x0, s);
            for (int i = y0; i < TILE; i += TILE_ROWS) {
                bool inside = pixel.inside && c0 + i < s.C;
                tile[i][x0] = inside ? x[pixel.offset + (c0 + i) * s.H * s.W] : T(0.f);
            }
            __syncthreads();
            i64 c = c0 + x0, group = c / per_group;
            for (int i = y0; i < TILE; i += TILE_ROWS)
                if (p0 + i < pixels && c < s.C)
                    flat[(group * pixels + p0 + i) * per_group + c % per_group] = tile[x0][i];
            __syncthreads();
        }
    }
}

template <typename T>
__global__ void from_pixels(const Acc<T>* flat, const T* b, T* y, Pixels s, i64 pixels,
                            i64 per_group) {
    __shared__ Acc<T> tile[TILE][TILE + 1];
    int x0 = threadIdx.x, y0 = threadIdx.y;
    for (i64 c0 = (i64)blockIdx.y * TILE; c0 < s.C; c0 += (i64)gridDim.y * TILE) {
        for (i64 p0 = (i64)blockIdx.x * TILE; p0 < pixels; p0 += (i64)gridDim.x * TILE) {
            i64 c = c0 + x0, group = c / per_group;
            for (int i = y0; i < TILE; i += TILE_ROWS)
                if (p0 + i < pixels && c < s.C)
                    tile[i][x0] = flat[(group * pixels + p0 + i) * per_group + c % per_group];
            __syncthreads();
            Pixel pixel = pixel_of(p0 + x0, s);
            for (int i = y0; i < TILE; i += TILE_ROWS) {
                if (!pixel.inside || p0 + x0 >= pixels || c0 + i >= s.C) continue;
                Acc<T> bias = b ? (Acc<T>)b[c0 + i] : 0;
                y[pixel.offset + (c0 + i) * s.H * s.W] = tile[x0][i] + bias;
            }
            __syncthreads();
        }
    }
}
