// The input of a convolution lowered along its width: what w_lowered.py multiplies.
//
//     low[g][q][c, s][n, ow] = x[n, g*C/G + c, q*SH - top, ow*SW - left + s*DW], 0 in the padding
//
// for c < C/G = per_group and s < KW. It is an im2col with kernels of one row, whose places (q, ow)
// are laid out row by row, each with all its channels and taps. The Window says so: KH = 1, OH the
// number of rows q, SH the step from one to the next. Bytes: reads x (the KW taps meet in cache),
// writes KW/SW times as much. A thread a place and plane; neighbours write neighbours along ow.

template <typename T>
__global__ void lower_width(const T* x, T* low, Window w, i64 planes, i64 per_group) {
    i64 length = planes / w.C * w.OW;  // of a line [n, ow]
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        i64 n = plane / w.C, group = plane % w.C / per_group, c = plane % w.C % per_group;
        const T* image = x + plane * w.H * w.W;
        for (int place = first_pixel(); place < w.OH * w.OW; place += pixel_step()) {
            int q = place / w.OW, ow = place % w.OW;
            int ih = q * w.SH - w.top, left = ow * w.SW - w.left;
            T* out = low + (((group * w.OH + q) * per_group + c) * w.KW) * length + n * w.OW + ow;
            for (int kw = 0; kw < w.KW; ++kw, out += length) {
                int iw = left + kw * w.DW;
                bool inside = ih >= 0 && ih < w.H && iw >= 0 && iw < w.W;
                *out = inside ? image[ih * w.W + iw] : T(0.f);
            }
        }
    }
}
