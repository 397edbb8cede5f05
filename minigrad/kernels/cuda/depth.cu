// Blocks of SH x SW pixels as channels, and back, for space_to_depth.py.
//
//     deep[n, (c, i, j), q, p] = x[n, c, q*SH + i - top, p*SW + j - left], 0 outside the image
//
// KH x KW = SH x SW in the Window is the block and OH x OW the places (q, p). Both kernels gather,
// a thread an element: `deep`'s planes are n, c, i, j; the other way round a pixel looks up the one
// place that it was copied to, and is 0 where it was not copied (the last rows, if no window sees
// them). Bytes: reads once, writes once. One side goes through memory SW elements at a time; the SW
// planes that share a line of memory are written after each other, and meet it in cache.

template <typename T>
__global__ void space_to_depth(const T* x, T* deep, Window w, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        int i = plane / w.KW % w.KH, j = plane % w.KW;
        const T* image = x + plane / (w.KH * w.KW) * w.H * w.W;
        for (int place = first_pixel(); place < w.OH * w.OW; place += pixel_step()) {
            int ih = place / w.OW * w.SH + i - w.top, iw = place % w.OW * w.SW + j - w.left;
            bool inside = ih >= 0 && ih < w.H && iw >= 0 && iw < w.W;
            deep[plane * w.OH * w.OW + place] = inside ? image[ih * w.W + iw] : T(0.f);
        }
    }
}

template <typename T>
__global__ void depth_to_space(T* x, const T* deep, Window w, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        for (int pixel = first_pixel(); pixel < w.H * w.W; pixel += pixel_step()) {
            int ih = pixel / w.W + w.top, iw = pixel % w.W + w.left;  // in the padded image
            bool inside = ih >= 0 && ih < w.OH * w.SH && iw >= 0 && iw < w.OW * w.SW;
            i64 from = (plane * w.KH + ih % w.SH) * w.KW + iw % w.SW;
            i64 place = from * w.OH * w.OW + ih / w.SH * w.OW + iw / w.SW;
            x[plane * w.H * w.W + pixel] = inside ? deep[place] : T(0.f);
        }
    }
}
