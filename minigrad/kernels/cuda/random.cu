// Random numbers, and dropout that stores no mask.
//
// Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3")
// turns a counter of 128 bits and a key of 64 into 128 random bits. So any thread computes any
// number at once, and the same again when the backward asks.
//
//     random bits of draw i = philox(counter + i, key = seed);  a draw has 4 floats or 2 doubles
//     dropout: y = x * kept / (1 - p),  kept = u >= p with u uniform in [0, 1)
//              gx = g * kept / (1 - p)
//
// A generator is three numbers in device memory: the seed, and the counter's low and high half.
// `take_numbers` copies them for one use and moves the counter on, in the order of the stream, so
// that each launch of a graph draws numbers of its own. What dropout keeps for its backward is this
// copy: 24 bytes. Bytes: dropout reads x and writes y, both ways; the others write what they draw.

struct Bits {
    u32 word[4];
};

__device__ inline Bits philox(const u64* counter, i64 draw) {
    u64 low = counter[1] + draw, high = counter[2] + (low < counter[1]);
    u32 key0 = counter[0], key1 = counter[0] >> 32;
    u32 a = low, b = low >> 32, c = high, d = high >> 32;
    #pragma unroll
    for (int round = 0; round < 10; ++round) {
        u64 first = (u64)0xD2511F53u * a, second = (u64)0xCD9E8D57u * c;
        a = (u32)(second >> 32) ^ b ^ key0;
        b = second;
        c = (u32)(first >> 32) ^ d ^ key1;
        d = first;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return {{a, b, c, d}};
}

// How many numbers a draw has, and the i'th: uniform in [0, 1), with 24 or 53 bits.
template <typename A> struct Uniform;
template <> struct Uniform<float> {
    static const int COUNT = 4;
    __device__ static float at(const Bits& bits, int i) { return (bits.word[i] >> 8) * 0x1p-24f; }
};
template <> struct Uniform<double> {
    static const int COUNT = 2;
    __device__ static double at(const Bits& bits, int i) {
        return (((u64)bits.word[2 * i + 1] << 32 | bits.word[2 * i]) >> 11) * 0x1p-53;
    }
};

__global__ void seed_numbers(u64* state, i64 seed, i64 low, i64 high) {
    state[0] = seed;
    state[1] = low;
    state[2] = high;
}

__global__ void take_numbers(u64* state, u64* taken, i64 draws) {
    taken[0] = state[0];
    taken[1] = state[1];
    taken[2] = state[2];
    state[1] += draws;
    state[2] += state[1] < taken[1];
}

__global__ void random_bits(u32* out, const u64* counter, i64 size) {
    for (i64 draw = first_element(); draw * 4 < size; draw += element_step()) {
        Bits bits = philox(counter, draw);
        #pragma unroll
        for (int i = 0; i < 4; ++i)
            if (draw * 4 + i < size) out[draw * 4 + i] = bits.word[i];
    }
}

// low <= out < low + range; no bias that could ever be seen: the draw is 64 bits wide.
__global__ void random_integers(i64* out, const u64* counter, i64 low, i64 range, i64 size) {
    for (i64 draw = first_element(); draw * 2 < size; draw += element_step()) {
        Bits bits = philox(counter, draw);
        #pragma unroll
        for (int i = 0; i < 2; ++i) {
            u64 wide = (u64)bits.word[2 * i + 1] << 32 | bits.word[2 * i];
            if (draw * 2 + i < size) out[draw * 2 + i] = low + (i64)__umul64hi(wide, range);
        }
    }
}

template <typename T>
__global__ void random_uniform(T* out, const u64* counter, i64 size) {
    typedef Uniform<Acc<T>> U;
    for (i64 draw = first_element(); draw * U::COUNT < size; draw += element_step()) {
        Bits bits = philox(counter, draw);
        #pragma unroll
        for (int i = 0; i < U::COUNT; ++i)
            if (draw * U::COUNT + i < size) out[draw * U::COUNT + i] = U::at(bits, i);
    }
}

// Box and Muller (1958): two uniform numbers u, v make two normal ones, with mean 0 and variance 1,
// sqrt(-2 log(1 - u)) * cos(2 pi v) and sqrt(-2 log(1 - u)) * sin(2 pi v).
template <typename T>
__global__ void random_normal(T* out, const u64* counter, i64 size) {
    typedef Uniform<Acc<T>> U;
    for (i64 draw = first_element(); draw * U::COUNT < size; draw += element_step()) {
        Bits bits = philox(counter, draw);
        #pragma unroll
        for (int i = 0; i < U::COUNT; i += 2) {
            i64 place = draw * U::COUNT + i;
            Acc<T> radius = sqrt(-2 * log(1 - U::at(bits, i)));
            Acc<T> angle = Acc<T>(6.283185307179586) * U::at(bits, i + 1);
            if (place < size) out[place] = radius * cos(angle);
            if (place + 1 < size) out[place + 1] = radius * sin(angle);
        }
    }
}

// Four numbers as one access to memory, where the pointers allow it.
template <typename T> struct alignas(4 * sizeof(T)) Four {
    T value[4];
};
template <typename T> __device__ bool starts_at_four(const T* x) {
    return (u64)x % sizeof(Four<T>) == 0;
}

template <typename T>
__global__ void dropout(const T* x, T* y, const u64* counter, double p, i64 size) {
    Acc<T> scale = 1 / (1 - p);
    float limit = p;
    bool fours = starts_at_four(x) && starts_at_four(y);
    for (i64 draw = first_element(); draw * 4 < size; draw += element_step()) {
        Bits bits = philox(counter, draw);
        i64 start = draw * 4;
        if (fours && start + 4 <= size) {
            Four<T> four = *(const Four<T>*)(x + start);
            #pragma unroll
            for (int i = 0; i < 4; ++i)
                four.value[i] = four.value[i] * scale * (Uniform<float>::at(bits, i) >= limit);
            *(Four<T>*)(y + start) = four;
            continue;
        }
        #pragma unroll
        for (int i = 0; i < 4; ++i)
            if (start + i < size)
                y[start + i] = x[start + i] * scale * (Uniform<float>::at(bits, i) >= limit);
    }
}
