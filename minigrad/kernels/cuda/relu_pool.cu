// Bias and ReLU, and bias, ReLU and max-pooling, of what a convolution left, in one pass.
//
//     y = relu(x + b[c])        gx = g, but 0 where y is 0        gb[c] = sum gx
//
// The backward is channel_parts of sums.cu, or relu_backward where there is no bias.
// Bytes: forward reads x, writes y; backward reads g and y, writes gx.
//
//     y = relu(max of the window of x + b[c]) = max of the window of relu(x + b[c])
//     code = the position kh*KW + kw of the window's first maximum, DEAD (255) where relu cuts it
//     gx = the sum of g over the windows whose code names this pixel     gb[c] = sum of g not DEAD
//
// The bias is the same for the whole window and a ReLU keeps the order, so both can wait until the
// window's maximum is known. The backward's gx is max_pool2d_backward of pool.cu: no pixel has the
// code of a dead window. Its gb is channel_parts of sums.cu.
// Bytes (T elements): forward reads x, writes y and one code an output; backward reads g and codes,
// writes gx; for gb it reads g and codes again, which are KH*KW/(SH*SW) times smaller than x.

template <typename T>
__global__ void bias_relu_max_pool2d(
    const T* x, const T* b, T* y, u8* code, Window w, i64 planes) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        const T* image = x + plane * w.H * w.W;
        Acc<T> bias = b[plane % w.C];
        for (int place = first_pixel(); place < w.OH * w.OW; place += pixel_step()) {
            Maximum<Acc<T>> found = window_maximum(image, place, w);
            Acc<T> value = found.value + bias;
            i64 out = plane * w.OH * w.OW + place;
            y[out] = value <= 0 ? Acc<T>(0) : value;  // a NaN stays one
            if (code) code[out] = value <= 0 ? DEAD : found.where;
        }
    }
}

template <typename T>
__global__ void relu_backward(const T* g, const T* y, T* gx, i64 size) {
    for (i64 i = first_element(); i < size; i += element_step()) gx[i] = y[i] != 0 ? g[i] : T(0);
}

template <typename T>
__global__ void bias_relu(const T* x, const T* b, T* y, i64 C, i64 planes, i64 pixels) {
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        Acc<T> bias = b[plane % C];
        for (int pixel = first_pixel(); pixel < pixels; pixel += pixel_step()) {
            Acc<T> value = x[plane * pixels + pixel] + bias;
            y[plane * pixels + pixel] = value <= 0 ? Acc<T>(0) : value;  // a NaN stays one
        }
    }
}
