// Winograd's transforms, for any matrix: winograd.py says which.
//
//     winograd_tiles: V[i, j][c][p] = (F d F^T)[i, j],  d the k x k tile p of plane c of x
//     winograd_maps:  the m x m tile p of y = F M[., .][o][p] F^T + b[o]
//
// F (rows, columns) lies in memory and has at most 8 rows and columns; tile p = (n, th, tw) of an
// image starts at (th*step - top, tw*step - left). What lies outside x is 0, outside y not written.
// A block takes 32 tiles of a plane: lane = tile, so that V and M are read and written in runs of
// 32; warp = row of the tile. The tile and its product F d pass through shared memory, where all
// indices may be variables and no thread's registers have to hold 64 numbers.
// Bytes (T elements): tiles reads x once (tiles overlap by k - step, and meet in cache) and writes
// rows^2 numbers a tile; maps reads columns^2 numbers a tile and writes y once.

struct Tiles {
    int C, H, W, top, left, rows, columns, step, TH, TW;
};

const int TILE_SIDE = 8;

template <typename T> struct TileMemory {
    Acc<T> in[TILE_SIDE][TILE_SIDE][WARP], half[TILE_SIDE][TILE_SIDE][WARP];
};

// This warp's row of F d, into `half`; the whole tile lies in `in`.
template <typename T>
__device__ inline void transform_columns(TileMemory<T>& tile, const T* f, const Tiles& s) {
    int lane = threadIdx.x, row = threadIdx.y;
    for (int j = 0; j < s.columns; ++j) {
        Acc<T> sum = 0;
        for (int i = 0; i < s.columns; ++i) sum += f[row * s.columns + i] * tile.in[i][j][lane];
        tile.half[row][j][lane] = sum;
    }
}

// Element j of this warp's row of (F d) F^T.
template <typename T>
__device__ inline Acc<T> transform_row(TileMemory<T>& tile, const T* f, const Tiles& s, int j) {
    Acc<T> sum = 0;
    for (int i = 0; i < s.columns; ++i)
        sum += tile.half[threadIdx.y][i][threadIdx.x] * f[j * s.columns + i];
    return sum;
}

struct Corner {  // the first pixel of a tile
    i64 n;
    int h, w;
};

__device__ inline Corner corner_of(i64 p, const Tiles& s) {
    int place = p % (s.TH * s.TW);
    return {p / (s.TH * s.TW), place / s.TW * s.step - s.top, place % s.TW * s.step - s.left};
}

template <typename T>
__global__ void winograd_tiles(const T* x, T* v, const T* f, Tiles s, i64 tiles) {
    __shared__ TileMemory<T> tile;
    int lane = threadIdx.x, row = threadIdx.y;
    for (i64 c = blockIdx.y; c < s.C; c += gridDim.y) {
        for (i64 first = (i64)blockIdx.x * WARP; first < tiles; first += (i64)gridDim.x * WARP) {
            i64 p = first + lane;
            Corner corner = corner_of(p, s);
            const T* image = x + (corner.n * s.C + c) * s.H * s.W;
            int ih = corner.h + row;
            for (int j = 0; row < s.columns && j < s.columns; ++j) {
                int iw = corner.w + j;
                bool inside = p < tiles && ih >= 0 && ih < s.H && iw >= 0 && iw < s.W;
                tile.in[row][j][lane] = inside ? (Acc<T>)image[ih * s.W + iw] : 0;
            }
            __syncthreads();
            if (row < s.rows) {
                transform_columns(tile, f, s);
                for (int j = 0; p < tiles && j < s.rows; ++j)
                    v[((i64)(row * s.rows + j) * s.C + c) * tiles + p] =
                        transform_row(tile, f, s, j);
            }
            __syncthreads();
        }
    }
}

template <typename T>
__global__ void winograd_maps(const T* m, const T* b, T* y, const T* f, Tiles s, i64 tiles) {
    __shared__ TileMemory<T> tile;
    int lane = threadIdx.x, row = threadIdx.y;
    for (i64 c = blockIdx.y; c < s.C; c += gridDim.y) {
        for (i64 first = (i64)blockIdx.x * WARP; first < tiles; first += (i64)gridDim.x * WARP) {
            i64 p = first + lane;
            for (int j = 0; row < s.columns && p < tiles && j < s.columns; ++j)
                tile.in[row][j][lane] = m[((i64)(row * s.columns + j) * s.C + c) * tiles + p];
            __syncthreads();
            Corner corner = corner_of(p, s);
            T* map = y + (corner.n * s.C + c) * s.H * s.W;
            int oh = corner.h + row;
            if (row < s.rows && p < tiles && oh < s.H) {
                transform_columns(tile, f, s);
                for (int j = 0; j < s.rows && corner.w + j < s.W; ++j)
                    map[oh * s.W + corner.w + j] =
                        transform_row(tile, f, s, j) + (b ? (Acc<T>)b[c] : 0);
            }
            __syncthreads();
        }
    }
}
