// Local response normalisation across channels (Krizhevsky et al. 2012; alpha/size as in PyTorch).
//
//     s[c]  = k + alpha/size * sum of x[j]^2 over c - size/2 <= j <= c + (size-1)/2
//     y[c]  = x[c] * s[c]^-beta
//     gx[c] = g[c] * s[c]^-beta - 2*beta*alpha/size * x[c] * sum of g[j]*x[j]*s[j]^(-beta-1)
//             over all j whose window holds c:  c - (size-1)/2 <= j <= c + size/2
//
// x is (N, C, pixels). Nothing is kept from the forward: the backward computes every s again.
// Bytes: forward reads x, writes y; backward reads x and g, writes gx. The neighbours' values come
// from cache: `size` reads of x a pixel forwards, size^2 backwards.

struct Response {
    int before, after;  // channels of the window on either side of its own
    double scale, beta, k;  // scale = alpha / size
};

// s of channel c; x points at this pixel in channel 0.
template <typename T>
__device__ Acc<T> response(const T* x, int c, int C, i64 pixels, Response r) {
    Acc<T> sum = 0;
    int last = min(c + r.after, C - 1);
    for (int j = max(c - r.before, 0); j <= last; ++j) {
        Acc<T> value = x[j * pixels];
        sum += value * value;
    }
    return Acc<T>(r.k) + Acc<T>(r.scale) * sum;
}

// s^-beta. The usual 3/4 needs no logarithm: s^(-3/4) = q * sqrt(q) with q = 1/sqrt(s).
template <typename A> __device__ A inverse_power(A s, double beta) {
    if (beta != 0.75) return pow(s, A(-beta));
    A q = rsqrt(s);
    return q * sqrt(q);
}

template <typename T>
__global__ void local_response_norm(
    const T* x, T* y, i64 channels, Response r, i64 planes, i64 pixels) {
    int C = channels;
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        int c = plane % C;
        for (int pixel = first_pixel(); pixel < pixels; pixel += pixel_step()) {
            const T* column = x + (plane - c) * pixels + pixel;
            Acc<T> s = response(column, c, C, pixels, r);
            y[plane * pixels + pixel] = Acc<T>(column[c * pixels]) * inverse_power(s, r.beta);
        }
    }
}

template <typename T>
__global__ void local_response_norm_backward(
    const T* g, const T* x, T* gx, i64 channels, Response r, i64 planes, i64 pixels) {
    int C = channels;
    for (i64 plane = first_plane(); plane < planes; plane += plane_step()) {
        int c = plane % C;
        for (int pixel = first_pixel(); pixel < pixels; pixel += pixel_step()) {
            const T* xs = x + (plane - c) * pixels + pixel;
            const T* gs = g + (plane - c) * pixels + pixel;
            Acc<T> own = 0, others = 0;
            int last = min(c + r.before, C - 1);
            for (int j = max(c - r.after, 0); j <= last; ++j) {
                Acc<T> s = response(xs, j, C, pixels, r);
                Acc<T> gy = Acc<T>(gs[j * pixels]) * inverse_power(s, r.beta);
                if (j == c) own = gy;
                others += gy * Acc<T>(xs[j * pixels]) / s;
            }
            Acc<T> factor = Acc<T>(2 * r.beta * r.scale) * Acc<T>(xs[c * pixels]);
            gx[plane * pixels + pixel] = own - factor * others;
        }
    }
}
