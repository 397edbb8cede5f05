// Loss scaling, so that gradients fit into float16: `unscale` before an optimizer's step, and
// `update_scale` after it. `scale`, `count` and `found` are numbers in device memory: nobody waits.
//
//     g = g / scale;  found = 1 where some g is not finite
//     scale = scale * backoff, if found;  scale * growth, after `interval` steps without
//
// Who finds what is not finite writes a 1, whoever else does: the same number, in whatever order.
// Bytes: reads and writes g once.

template <typename T>
__global__ void unscale(Tensors all, const float* scale, float* found) {
    Acc<T> inverse = 1 / *scale;
    bool bad = false;
    for (i64 chunk = blockIdx.x;; chunk += gridDim.x) {
        Place place = place_of_chunk(all, chunk);
        if (place.tensor < 0) break;
        T* g = (T*)all.p[place.tensor];
        i64 stop = min(place.start + CHUNK, all.size[place.tensor]);
        #pragma unroll 4
        for (i64 i = place.start + threadIdx.x; i < stop; i += THREADS) {
            Acc<T> value = g[i] * inverse;
            g[i] = value;
            bad |= value - value != 0;  // infinity - infinity is NaN, and so is NaN - NaN
        }
    }
    if (bad) *found = 1;
}

__global__ void update_scale(
    float* scale, i64* count, const float* found, double growth, double backoff, i64 interval) {
    bool bad = *found;
    *count += 1;
    if (!bad && *count < interval) return;
    float grown = *scale * (bad ? backoff : growth);
    if (grown - grown == 0) *scale = grown;
    *count = 0;
}
