// Pooling: maximum, average, and average over windows that adapt to the output size.
//
//     max:      y = the window's first maximum, code = its position kh*KW + kw; a NaN beats all,
//               and of several the last (PyTorch's rule)
//     average:  y = sum of the window / divisor; the divisor counts the taps inside the image,
//               or, with count_include_pad, inside the image and its padding, or is given
//     adaptive: output i covers the inputs floor(i*H/OH) <= h < ceil((i+1)*H/OH)
//
// Padding never wins a maximum and adds nothing to a sum. Every backward gathers: the thread of an
// input pixel asks the windows that cover it, in a fixed order. No atomics, nothing to clear.
// Bytes (T elements): forward reads x, writes y (+ one code an output); backward reads g (+ codes),
// writes gx. An input pixel of a 3x3/2 pool is read up to 4 times, but from cache.

template <typename A> struct Maximum {
    A value;
    int where;  // kh*KW + kw, or -1 where the whole window lies in the padding
};

template <typename T>
__device__ Maximum<Acc<T>> window_maximum(const T* image, int place, const Window& w) {
    int top = place / w.OW * w.SH - w.top, left = place % w.OW * w.SW - w.left;
    Acc<T> best = -infinity();
    int where = -1;
    for (int kh = 0; kh < w.KH; ++kh) {
        for (int kw = 0; kw < w.KW; ++kw) {
            int ih = top + kh * w.DH, iw = left + kw * w.DW;
            if (ih < 0 || ih >= w.H || iw < 0 || iw >= w.W) continue;
            Acc<T> value = image[ih * w.W + iw];
            if (value > best || value != value || where < 0) {
                best = value;
                where = kh * w.KW + kw;
            }
        }
    }
    return {best, where};
}

template <typename T, typename Code>
__global__ void max_pool2d(const T* x, T* y, Code* code, Window w, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        const T* image = x + plane * w.H * w.W;
        for (int place = first_pixel(); place < w.OH * w.OW; place += pixel_step()) {
            Maximum<Acc<T>> found = window_maximum(image, place, w);
            y[plane * w.OH * w.OW + place] = found.value;
            if (code) code[plane * w.OH * w.OW + place] = max(found.where, 0);
        }
    }
}

template <typename T, typename Code>
__global__ void max_pool2d_backward(const T* g, const Code* code, T* gx, Window w, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        i64 base = plane * w.OH * w.OW;
        for (int pixel = first_pixel(); pixel < w.H * w.W; pixel += pixel_step()) {
            Cover rows(pixel / w.W, w.KH, w.SH, w.top, w.DH, w.OH);
            Cover columns(pixel % w.W, w.KW, w.SW, w.left, w.DW, w.OW);
            Acc<T> sum = 0;
            for (int oh = rows.last; oh >= rows.first; --oh) {
                int kh = rows.tap(oh);
                for (int ow = columns.last; ow >= columns.first; --ow) {
                    int kw = columns.tap(ow);
                    i64 place = base + oh * w.OW + ow;
                    if (kh >= 0 && kw >= 0 && code[place] == kh * w.KW + kw) sum += g[place];
                }
            }
            gx[plane * w.H * w.W + pixel] = sum;
        }
    }
}

struct Divisor {
    int include_pad, given;  // given: divisor_override, or 0
};

// Taps of place o on one axis that lie in [low, high).
__device__ inline int taps_within(int o, int stride, int pad, int kernel, int low, int high) {
    int first = o * stride - pad;
    return min(first + kernel, high) - max(first, low);
}

__device__ inline int divisor_of(int oh, int ow, const Window& w, Divisor d) {
    if (d.given) return d.given;
    int top = d.include_pad ? w.top : 0, bottom = d.include_pad ? w.bottom : 0;
    int left = d.include_pad ? w.left : 0, right = d.include_pad ? w.right : 0;
    return taps_within(oh, w.SH, w.top, w.KH, -top, w.H + bottom) *
           taps_within(ow, w.SW, w.left, w.KW, -left, w.W + right);
}

template <typename T>
__global__ void avg_pool2d(const T* x, T* y, Window w, Divisor d, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        const T* image = x + plane * w.H * w.W;
        for (int place = first_pixel(); place < w.OH * w.OW; place += pixel_step()) {
            int oh = place / w.OW, ow = place % w.OW;
            int top = oh * w.SH - w.top, left = ow * w.SW - w.left;
            Acc<T> sum = 0;
            for (int ih = max(top, 0); ih < min(top + w.KH, w.H); ++ih)
                for (int iw = max(left, 0); iw < min(left + w.KW, w.W); ++iw)
                    sum += image[ih * w.W + iw];
            y[plane * w.OH * w.OW + place] = sum / divisor_of(oh, ow, w, d);
        }
    }
}

template <typename T>
__global__ void avg_pool2d_backward(const T* g, T* gx, Window w, Divisor d, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        const T* in = g + plane * w.OH * w.OW;
        for (int pixel = first_pixel(); pixel < w.H * w.W; pixel += pixel_step()) {
            Cover rows(pixel / w.W, w.KH, w.SH, w.top, 1, w.OH);
            Cover columns(pixel % w.W, w.KW, w.SW, w.left, 1, w.OW);
            Acc<T> sum = 0;
            for (int oh = rows.last; oh >= rows.first; --oh)
                for (int ow = columns.last; ow >= columns.first; --ow)
                    sum += in[oh * w.OW + ow] / (Acc<T>)divisor_of(oh, ow, w, d);
            gx[plane * w.H * w.W + pixel] = sum;
        }
    }
}

// The inputs [adaptive_start(i), adaptive_stop(i)) that output i of `out` covers. Seen from an
// input h, the outputs that cover it are those with the two sizes exchanged.
__device__ inline int adaptive_start(int i, int in, int out) { return (i64)i * in / out; }
__device__ inline int adaptive_stop(int i, int in, int out) {
    return ((i64)(i + 1) * in + out - 1) / out;
}

template <typename T>
__global__ void adaptive_avg_pool2d(const T* x, T* y, Window w, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        const T* image = x + plane * w.H * w.W;
        for (int place = first_pixel(); place < w.OH * w.OW; place += pixel_step()) {
            int oh = place / w.OW, ow = place % w.OW;
            int top = adaptive_start(oh, w.H, w.OH), bottom = adaptive_stop(oh, w.H, w.OH);
            int left = adaptive_start(ow, w.W, w.OW), right = adaptive_stop(ow, w.W, w.OW);
            Acc<T> sum = 0;
            for (int ih = top; ih < bottom; ++ih)
                for (int iw = left; iw < right; ++iw) sum += image[ih * w.W + iw];
            y[plane * w.OH * w.OW + place] = sum / ((bottom - top) * (right - left));
        }
    }
}

template <typename T>
__global__ void adaptive_avg_pool2d_backward(const T* g, T* gx, Window w, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        const T* in = g + plane * w.OH * w.OW;
        for (int pixel = first_pixel(); pixel < w.H * w.W; pixel += pixel_step()) {
            int ih = pixel / w.W, iw = pixel % w.W;
            Acc<T> sum = 0;
            int last_oh = adaptive_stop(ih, w.OH, w.H), last_ow = adaptive_stop(iw, w.OW, w.W);
            for (int oh = adaptive_start(ih, w.OH, w.H); oh < last_oh; ++oh) {
                int rows = adaptive_stop(oh, w.H, w.OH) - adaptive_start(oh, w.H, w.OH);
                for (int ow = adaptive_start(iw, w.OW, w.W); ow < last_ow; ++ow) {
                    int columns = adaptive_stop(ow, w.W, w.OW) - adaptive_start(ow, w.W, w.OW);
                    sum += in[oh * w.OW + ow] / (Acc<T>)(rows * columns);
                }
            }
            gx[plane * w.H * w.W + pixel] = sum;
        }
    }
}
