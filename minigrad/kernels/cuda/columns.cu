// im2col and its adjoint, col2im. im2col.py makes convolutions of them and a matrix product.
//
//     im2col: col[c, kh, kw][n, oh, ow] = x[n, c, oh*SH - top + kh*DH, ow*SW - left + kw*DW],
//             and 0 where that lies in the padding
//     col2im: x[n, c, h, w] = the sum of all col[c, kh, kw][n, oh, ow] that look at (h, w)
//
// The caller says how far apart in memory two images and two rows (c, kh, kw) of the columns are:
// (N, C*KH*KW, L) is what unfold returns, (C*KH*KW, N, L) is one matrix for the whole batch.
// Bytes: im2col reads x once (the taps of a window meet again in cache) and writes KH*KW/(SH*SW)
// times as much; col2im the other way round. It gathers: each thread sums up its own pixel in a
// fixed order, so there are no atomics, nothing has to be cleared, and two runs give the same bits.

template <typename T>
__global__ void im2col(const T* x, T* col, Window w, i64 planes, i64 image_step, i64 row_step) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        i64 n = plane / w.C, row = plane % w.C * w.KH * w.KW;
        const T* image = x + plane * w.H * w.W;
        for (int place = first_pixel(); place < w.OH * w.OW; place += pixel_step()) {
            int top = place / w.OW * w.SH - w.top, left = place % w.OW * w.SW - w.left;
            T* out = col + n * image_step + row * row_step + place;
            for (int kh = 0; kh < w.KH; ++kh) {
                for (int kw = 0; kw < w.KW; ++kw, out += row_step) {
                    int ih = top + kh * w.DH, iw = left + kw * w.DW;
                    bool inside = ih >= 0 && ih < w.H && iw >= 0 && iw < w.W;
                    *out = inside ? image[ih * w.W + iw] : T(0.f);
                }
            }
        }
    }
}

template <typename T>
__global__ void col2im(const T* col, T* x, Window w, i64 planes, i64 image_step, i64 row_step) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        i64 n = plane / w.C, row = plane % w.C * w.KH * w.KW;
        const T* in = col + n * image_step + row * row_step;
        for (int pixel = first_pixel(); pixel < w.H * w.W; pixel += pixel_step()) {
            int ih = pixel / w.W, iw = pixel % w.W;
            Acc<T> sum = 0;
            for (int kh = 0; kh < w.KH; ++kh) {
                int oh = place_of(ih, kh, w.SH, w.top, w.DH, w.OH);
                if (oh < 0) continue;
                for (int kw = 0; kw < w.KW; ++kw) {
                    int ow = place_of(iw, kw, w.SW, w.left, w.DW, w.OW);
                    if (ow >= 0) sum += in[(kh * w.KW + kw) * row_step + oh * w.OW + ow];
                }
            }
            x[plane * w.H * w.W + pixel] = sum;
        }
    }
}
