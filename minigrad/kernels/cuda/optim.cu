// One step of an optimizer over all parameters, in place: one launch, one pass over the memory.
//
//     SGD:   d = g + l2*p;  b = momentum*b + (1 - dampening)*d  (in step 0 b = d)
//            p = p - lr*b, or with Nesterov p - lr*(d + momentum*b), or without momentum p - lr*d
//     Adam:  d = g + l2*p;  m = beta1*m + (1 - beta1)*d;  v = beta2*v + (1 - beta2)*d^2
//            p = p*shrink - rate * m / (sqrt(v) + floor),  where at step t
//            rate = lr * sqrt(1 - beta2^t) / (1 - beta1^t),  floor = eps * sqrt(1 - beta2^t)
//
// Sources: minigrad/optim. `Tensors` is the list of the parameters, 64 in a launch, and travels
// with the launch itself: nothing is copied to the GPU beforehand, and gradients may lie elsewhere
// at every step. A block takes a chunk of a parameter, and then the one a whole grid further on.
// What a schedule changes, and Adam's count of steps, is read from device memory (live.py), so that
// a captured graph follows them. Where `skip` points to a number other than 0, nothing changes.
// Bytes: SGD reads p and g and writes p; with momentum it also reads and writes b (5 accesses of T
// in all). Adam reads p, g, m, v and writes p, m, v (7 accesses).

const int TENSORS = 64;  // optim.py says the same, and lays the struct out
const int CHUNK = 8192;  // elements

struct Tensors {
    i64 count, size[TENSORS];
    void *p[TENSORS], *g[TENSORS], *first[TENSORS], *second[TENSORS];  // b or m; v
    i64* step[TENSORS];  // how many there were; null where that is all the same
    int group[TENSORS];
};

// The chunk'th chunk of all: (tensor, its first element), or a tensor of -1 behind the last one.
struct Place {
    int tensor;
    i64 start;
};
__device__ inline Place place_of_chunk(const Tensors& all, i64 chunk) {
    for (int i = 0; i < all.count; ++i) {
        i64 chunks = (all.size[i] + CHUNK - 1) / CHUNK;
        if (chunk < chunks) return {i, chunk * CHUNK};
        chunk -= chunks;
    }
    return {-1, 0};
}

struct SgdOptions {  // a group's, in device memory
    double lr, momentum, dampening, weight_decay, nesterov;
};

template <typename T>
__global__ void sgd_step(Tensors all, const double* options, const float* skip) {
    if (skip && *skip) return;
    for (i64 chunk = blockIdx.x;; chunk += gridDim.x) {
        Place place = place_of_chunk(all, chunk);
        int tensor = place.tensor;
        if (tensor < 0) return;
        SgdOptions o = ((const SgdOptions*)options)[all.group[tensor]];
        Acc<T> lr = o.lr, momentum = o.momentum, kept = 1 - o.dampening, l2 = o.weight_decay;
        bool nesterov = o.nesterov, fresh = all.step[tensor] && !*all.step[tensor];
        T* __restrict__ p = (T*)all.p[tensor];
        const T* __restrict__ g = (const T*)all.g[tensor];
        T* __restrict__ b = (T*)all.first[tensor];
        i64 stop = min(place.start + CHUNK, all.size[tensor]);
        #pragma unroll 4
        for (i64 i = place.start + threadIdx.x; i < stop; i += THREADS) {
            Acc<T> weight = p[i], step = g[i];
            if (l2) step += l2 * weight;  // of an infinite weight, too, 0 times is 0
            if (b) {
                Acc<T> velocity = fresh ? step : momentum * b[i] + kept * step;
                b[i] = velocity;
                step = nesterov ? step + momentum * velocity : velocity;
            }
            p[i] = weight - lr * step;
        }
    }
}

// After sgd_step, whose blocks all read the counts: one thread each.
__global__ void count_steps(Tensors all, const float* skip) {
    int tensor = threadIdx.x;
    if (tensor < all.count && all.step[tensor] && !(skip && *skip)) ++*all.step[tensor];
}

struct AdamOptions {  // a group's, in device memory
    double lr, beta1, beta2, eps, weight_decay, decoupled;
};
struct AdamRates {  // a parameter's, at this step
    double rate, floor, beta1, beta2, shrink, l2;
};

// Count the step, and work out what is the same for a whole parameter: one thread each.
__global__ void adam_rates(
    Tensors all, const double* options, double* rates, const float* skip) {
    int tensor = threadIdx.x;
    if (tensor >= all.count || (skip && *skip)) return;
    AdamOptions o = ((const AdamOptions*)options)[all.group[tensor]];
    double t = (double)++*all.step[tensor], root = sqrt(1 - pow(o.beta2, t));
    double shrink = o.decoupled ? 1 - o.lr * o.weight_decay : 1.;
    double l2 = o.decoupled ? 0. : o.weight_decay, rate = o.lr * root / (1 - pow(o.beta1, t));
    ((AdamRates*)rates)[tensor] = {rate, o.eps * root, o.beta1, o.beta2, shrink, l2};
}

template <typename T>
__global__ void adam_step(Tensors all, const double* rates, const float* skip) {
    if (skip && *skip) return;
    for (i64 chunk = blockIdx.x;; chunk += gridDim.x) {
        Place place = place_of_chunk(all, chunk);
        int tensor = place.tensor;
        if (tensor < 0) return;
        AdamRates o = ((const AdamRates*)rates)[tensor];
        Acc<T> rate = o.rate, floor = o.floor, shrink = o.shrink, l2 = o.l2;
        Acc<T> beta1 = o.beta1, beta2 = o.beta2, fresh1 = 1 - o.beta1, fresh2 = 1 - o.beta2;
        T* __restrict__ p = (T*)all.p[tensor];
        const T* __restrict__ g = (const T*)all.g[tensor];
        T* __restrict__ m = (T*)all.first[tensor];
        T* __restrict__ v = (T*)all.second[tensor];
        i64 stop = min(place.start + CHUNK, all.size[tensor]);
        #pragma unroll 4
        for (i64 i = place.start + threadIdx.x; i < stop; i += THREADS) {
            Acc<T> weight = p[i], step = g[i];
            if (l2) step += l2 * weight;  // of an infinite weight, too, 0 times is 0
            Acc<T> mean = beta1 * m[i] + fresh1 * step;
            Acc<T> square = beta2 * v[i] + fresh2 * step * step;
            m[i] = mean;
            v[i] = square;
            p[i] = weight * shrink - rate * mean / (sqrt(square) + floor);
        }
    }
}

// Numbers from the host into device memory, in the order of the stream: they travel with the
// launch, so that there is no copy to wait for and none that a later one could overtake.
const int NUMBERS = 64;  // live.py says the same
struct Numbers {
    i64 count;
    double value[NUMBERS];
};
__global__ void write_numbers(double* to, Numbers numbers) {
    if (threadIdx.x < numbers.count) to[threadIdx.x] = numbers.value[threadIdx.x];
}
