// One step of an optimizer, in place and in one pass. The formulas and their sources stand in
// minigrad/optim; the two tricks with Adam's bias corrections in kernels/cpu/optim.py.
//
// Bytes: SGD reads p and g and writes p; with momentum it also reads and writes buf (5 accesses of
// T in all). Adam reads p, g, m, v and writes p, m, v (7 accesses).

struct Sgd {
    double lr, momentum, dampening, weight_decay;
    int nesterov, first;
};

template <typename T>
__global__ void sgd_step(T* p, const T* g, T* buf, i64 size, Sgd o) {
    Acc<T> lr = o.lr, momentum = o.momentum, fresh = 1 - o.dampening, decay = o.weight_decay;
    for (i64 i = first_element(); i < size; i += element_step()) {
        Acc<T> weight = p[i], step = g[i] + decay * weight;
        if (buf) {
            Acc<T> velocity = o.first ? step : momentum * buf[i] + fresh * step;
            buf[i] = velocity;
            step = o.nesterov ? step + momentum * velocity : velocity;
        }
        p[i] = weight - lr * step;
    }
}

struct Adam {
    double rate, floor, beta1, beta2, shrink, l2;  // shrink: 1 - lr * decoupled decay
};

template <typename T>
__global__ void adam_step(T* p, const T* g, T* m, T* v, i64 size, Adam o) {
    Acc<T> rate = o.rate, floor = o.floor, shrink = o.shrink, l2 = o.l2;
    Acc<T> beta1 = o.beta1, beta2 = o.beta2, fresh1 = 1 - o.beta1, fresh2 = 1 - o.beta2;
    for (i64 i = first_element(); i < size; i += element_step()) {
        Acc<T> weight = p[i], step = g[i] + l2 * weight;
        Acc<T> mean = beta1 * m[i] + fresh1 * step, square = beta2 * v[i] + fresh2 * step * step;
        m[i] = mean;
        v[i] = square;
        p[i] = weight * shrink - rate * mean / (sqrt(square) + floor);
    }
}
